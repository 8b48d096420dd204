//! The SDK calls the front in the process: no socket, no thread, no clock but tokio's.
//!
//! So a client, its pauses and the buckets all live on one clock, and with tokio's paused one
//! days pass in seconds.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::front::{Front, Reply};
use super::wire::Answer;

/// How long a client waits that was told of no timeout.
pub(super) const SILENCE: Duration = Duration::from_secs(3600);

pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Calls a front.
#[derive(Clone, Debug)]
pub(super) struct InProcess {
    pub(super) front: Arc<Front>,
    /// How long an answer is waited for. `None`: for as long as the operation may take.
    pub(super) patience: Option<Duration>,
}

impl HttpClient for InProcess {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Self {
            front: Arc::clone(&self.front),
            patience: settings.read_timeout(),
        })
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { front, patience } = self.clone();
        HttpConnectorFuture::new(async move {
            // Others get their turn, as they would during a call over the network.
            tokio::task::yield_now().await;
            let body = request.body().bytes().ok_or_else(|| {
                ConnectorError::user("the body is a stream, which no operation has".into())
            })?;
            match front.call(request.headers().get("x-amz-target"), body) {
                Reply::Answer(answer) => response(answer),
                Reply::Silence => {
                    tokio::time::sleep(patience.unwrap_or(SILENCE)).await;
                    let error = Error::new(ErrorKind::TimedOut, "no answer came");
                    Err(ConnectorError::timeout(error.into()))
                }
                Reply::Cut => {
                    let error = Error::new(ErrorKind::ConnectionReset, "the answer was lost");
                    Err(ConnectorError::io(error.into()))
                }
            }
        })
    }
}

fn response(answer: Answer) -> Result<HttpResponse, ConnectorError> {
    let status = answer
        .status
        .try_into()
        .map_err(|error| ConnectorError::other(Box::new(error), None))?;
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    response.headers_mut().insert("content-type", CONTENT_TYPE);
    Ok(response)
}
