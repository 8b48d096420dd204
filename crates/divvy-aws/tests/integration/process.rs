//! A process that ends at one of its requests.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::sync::Notify;

/// When a process ends.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// The number of requests before the last.
    pub after: i64,
    /// Whether the service executes the last request. Its response is lost in any case.
    pub is_last_done: bool,
}

/// How long after a kill a request that was sent before may still arrive.
pub const LATE: Duration = Duration::from_secs(60);

/// The requests of a process. Each request and each response takes a random time. After a number of
/// requests the process ends with the next one: that one is not sent, or it is executed and its
/// response is lost. Requests in flight arrive later, or never.
#[derive(Debug)]
pub struct Process {
    left: AtomicI64,
    is_last_done: bool,
    is_dead: AtomicBool,
    killed: Notify,
    random: Mutex<fastrand::Rng>,
}

impl Process {
    pub fn new(end: Option<End>, random: &mut fastrand::Rng) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicI64::new(end.map_or(i64::MAX, |end| end.after)),
            is_last_done: end.is_some_and(|end| end.is_last_done),
            is_dead: AtomicBool::new(false),
            killed: Notify::new(),
            random: Mutex::new(random.fork()),
        })
    }

    /// Makes the client through which the process sends its requests.
    pub fn client(self: &Arc<Self>, inner: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Mortal {
            inner,
            process: Arc::clone(self),
        })
    }

    /// Waits until the process has ended.
    pub async fn ended(&self) {
        self.killed.notified().await;
    }

    /// Returns a random time below a number of milliseconds.
    fn up_to(&self, most_ms: u64) -> Duration {
        Duration::from_millis(self.random.lock().unwrap().u64(0..most_ms))
    }

    fn die(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.killed.notify_one();
    }
}

/// A client of a process that is killed.
#[derive(Clone, Debug)]
struct Mortal<T> {
    inner: T,
    process: Arc<Process>,
}

impl HttpClient for Mortal<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Mortal {
            inner: self.inner.http_connector(settings, components),
            process: Arc::clone(&self.process),
        })
    }
}

impl HttpConnector for Mortal<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        const WAY_MS: u64 = 40;
        let process = Arc::clone(&self.process);
        let left = process.left.fetch_sub(1, Ordering::Relaxed);
        if left < 0 || left == 0 && !process.is_last_done {
            process.die();
            return HttpConnectorFuture::new(pending());
        }
        let (there, back) = (process.up_to(WAY_MS), process.up_to(WAY_MS));
        let inner = self.inner.clone();
        // A task continues when its future is dropped.
        let sent = tokio::spawn(async move {
            tokio::time::sleep(there).await;
            if left > 0 && process.is_dead.load(Ordering::Relaxed) {
                if process.random.lock().unwrap().bool() {
                    return pending().await;
                }
                tokio::time::sleep(process.up_to(LATE.as_millis() as u64)).await;
            }
            let answer = inner.call(request).await;
            if left == 0 {
                process.die();
                return pending().await;
            }
            tokio::time::sleep(back).await;
            answer
        });
        HttpConnectorFuture::new(async move { sent.await.unwrap() })
    }
}
