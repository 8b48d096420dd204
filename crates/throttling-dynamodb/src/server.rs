//! An HTTP server on a loopback port, for other processes.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::faults::Slowness;
use crate::service::{MAX_SILENCE, Outcome, Service};
use crate::trickle::Trickle;
use crate::wire::CONTENT_TYPE;

/// A running server. Dropping it stops it and closes its connections.
#[derive(Debug)]
pub struct Server {
    /// The loopback address on which it listens.
    pub addr: SocketAddr,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on a free port.
pub(crate) async fn serve(service: Arc<Service>) -> io::Result<Server> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    let task = tokio::spawn(accept(listener, service)).abort_handle();
    Ok(Server { addr, task })
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
    // Dropping the set, with this task, closes the connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client that could not connect tries again.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve_connection(stream, Arc::clone(&service)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, service: Arc<Service>) {
    // Responses are small: none should be held back until the next.
    let _ = stream.set_nodelay(true);
    let respond = service_fn(|request| respond(request, &service));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), respond);
    // An error is a client that disconnected, or an injected fault.
    let _ = served.await;
}

async fn respond(
    request: Request<Incoming>,
    service: &Service,
) -> Result<Response<ResponseBody>, io::Error> {
    let target = request.headers().get("x-amz-target").cloned();
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Err(io::Error::other(error)),
    };
    let target = target.as_ref().and_then(|target| target.to_str().ok());
    match service.call(target, &body) {
        Outcome::Response(response) => Ok(http_response(response.status, whole(response.body))),
        Outcome::SlowResponse(response, Slowness::Late(after)) => {
            tokio::time::sleep(after).await;
            Ok(http_response(response.status, whole(response.body)))
        }
        Outcome::SlowResponse(response, Slowness::Trickling(pause)) => {
            let body = Trickle::new(response.body, pause).boxed_unsync();
            Ok(http_response(response.status, body))
        }
        Outcome::NoResponse => {
            tokio::time::sleep(MAX_SILENCE).await;
            Err(io::ErrorKind::TimedOut.into())
        }
        // The server closes the connection of a request that fails.
        Outcome::ConnectionReset | Outcome::ConnectionClosed => {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

/// The body of a response: whole, or byte by byte.
type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

fn whole(body: Vec<u8>) -> ResponseBody {
    Full::new(Bytes::from(body)).boxed_unsync()
}

fn http_response(status: u16, body: ResponseBody) -> Response<ResponseBody> {
    let mut http = Response::new(body);
    *http.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static(CONTENT_TYPE);
    http.headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    http
}
