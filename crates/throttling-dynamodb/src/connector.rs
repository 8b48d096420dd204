//! An HTTP connector for the SDK that calls the service in the process: without sockets, without
//! threads, on tokio's clock alone.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::{DateTime, Format};
use aws_smithy_types::retry::ErrorKind as RetryErrorKind;

use crate::faults::Slowness;
use crate::service::{MAX_SILENCE, Outcome, Service};
use crate::trickle::Trickle;
use crate::wire::CONTENT_TYPE;

/// Calls a service.
#[derive(Clone, Debug)]
pub(crate) struct InProcess {
    pub(crate) service: Arc<Service>,
    /// The longest wait for a response. `None` waits until the timeout of the operation.
    pub(crate) read_timeout: Option<Duration>,
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Self {
            service: Arc::clone(&self.service),
            read_timeout: settings.read_timeout(),
        })
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self {
            service,
            read_timeout,
        } = self.clone();
        HttpConnectorFuture::new(async move {
            // Other tasks run here, as they would during a call over the network.
            tokio::task::yield_now().await;
            let body = request.body().bytes().ok_or_else(|| {
                ConnectorError::user("the body is a stream, which no operation has".into())
            })?;
            match service.call(request.headers().get("x-amz-target"), body) {
                Outcome::Response(response) => {
                    let body = SdkBody::from(response.body);
                    http_response(response.status, body)
                }
                Outcome::SlowResponse(response, Slowness::Late(after)) => {
                    if read_timeout.is_some_and(|most| most < after) {
                        return Err(no_response(read_timeout).await);
                    }
                    tokio::time::sleep(after).await;
                    http_response(response.status, SdkBody::from(response.body))
                }
                Outcome::SlowResponse(response, Slowness::Trickling(pause)) => {
                    let body = Trickle::new(response.body, pause);
                    http_response(response.status, SdkBody::from_body_1_x(body))
                }
                Outcome::NoResponse => Err(no_response(read_timeout).await),
                Outcome::ConnectionReset => {
                    let error = Error::new(ErrorKind::ConnectionReset, "the answer was lost");
                    Err(ConnectorError::io(error.into()))
                }
                // As the HTTP client of the SDK reports it.
                Outcome::ConnectionClosed => {
                    let error = "connection closed before message completed";
                    let kind = Some(RetryErrorKind::TransientError);
                    Err(ConnectorError::other(error.into(), kind))
                }
            }
        })
    }
}

/// Waits for a response that is not sent. Returns the error of the client.
async fn no_response(read_timeout: Option<Duration>) -> ConnectorError {
    tokio::time::sleep(read_timeout.unwrap_or(MAX_SILENCE)).await;
    let error = Error::new(ErrorKind::TimedOut, "no answer came");
    ConnectorError::timeout(error.into())
}

fn http_response(status: u16, body: SdkBody) -> Result<HttpResponse, ConnectorError> {
    let status = status
        .try_into()
        .map_err(|error| ConnectorError::other(Box::new(error), None))?;
    let mut http = HttpResponse::new(status, body);
    http.headers_mut().insert("content-type", CONTENT_TYPE);
    let now = DateTime::from(SystemTime::now());
    if let Ok(date) = now.fmt(Format::HttpDate) {
        http.headers_mut().insert("date", date);
    }
    Ok(http)
}
