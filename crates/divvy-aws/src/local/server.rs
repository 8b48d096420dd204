//! The front on a port of this machine, for other processes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::connector;
use super::front::{Front, Reply};

/// A front that listens. It stops, and cuts its connections, when dropped.
#[derive(Debug)]
pub struct Serving {
    /// Where it listens, on the loopback interface.
    pub addr: SocketAddr,
    task: AbortHandle,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on a free port.
pub(super) async fn serve(front: Arc<Front>) -> io::Result<Serving> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    let task = tokio::spawn(accept(listener, front)).abort_handle();
    Ok(Serving { addr, task })
}

async fn accept(listener: TcpListener, front: Arc<Front>) {
    // Connections end with the set, and so with this task.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // What failed to connect comes again.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&front)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, front: Arc<Front>) {
    // Answers are small: none should wait for the next.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, &front));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A client that went away, or an answer that was to be lost.
    let _ = served.await;
}

async fn answer(
    request: Request<Incoming>,
    front: &Front,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let target = request.headers().get("x-amz-target").cloned();
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Err(io::Error::other(error)),
    };
    let target = target.as_ref().and_then(|target| target.to_str().ok());
    match front.call(target, &body) {
        Reply::Answer(answer) => {
            let mut response = Response::new(Full::new(Bytes::from(answer.body)));
            *response.status_mut() =
                StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let content_type = hyper::header::HeaderValue::from_static(connector::CONTENT_TYPE);
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            Ok(response)
        }
        Reply::Silence => {
            tokio::time::sleep(connector::SILENCE).await;
            Err(io::ErrorKind::TimedOut.into())
        }
        Reply::Cut => Err(io::ErrorKind::ConnectionReset.into()),
    }
}
