//! The connection to the service: credentials, region, endpoint, clients, and the errors of
//! failed requests.
//!
//! Credentials come from the whole standard chain: environment, profiles (Identity Center SSO,
//! assumed roles, `credential_process`), web identity, and the roles of containers and instances.

mod cause;
mod http;
mod profile;
mod retries;
mod service_clock;
mod service_error;
mod throttle;

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::config::{Credentials, Region};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use divvy::store::{StoreError, StoreErrorKind};
use jiff::Timestamp;

use retries::NoRetryIfUnreachable;

pub(crate) use cause::is_unreachable;

pub use http::is_this_machine;
pub use service_clock::ServiceClock;
pub(crate) use service_error::cause;
pub use service_error::store_error;
pub use throttle::{Access, Limit, Throttle, throttles};

/// The time limit for making a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit for the first byte of a response. The service responds to a batch within 5 s.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// The time limit for one attempt as a whole.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts of a call that the SDK retries.
const ATTEMPTS: u32 = 8;

/// The region and the address to connect to. By default those of environment and profile.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// The region, such as `us-east-2`. `None` takes it from environment or profile.
    pub region: Option<String>,
    /// The address of the service, such as `http://127.0.0.1:8000`. `None` takes it from
    /// environment or profile, else it is the region's own.
    pub endpoint: Option<String>,
    /// Carries the requests instead of the network: an emulator in the process, which needs no
    /// credentials and no region.
    pub http_client: Option<SharedHttpClient>,
    /// Returns the time by the clock of this machine. `None`: that of the system.
    pub clock: Option<fn() -> Timestamp>,
}

/// Clients of one region.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Sends each request once: the capacity limiter has to count every attempt.
    pub dynamo: aws_sdk_dynamodb::Client,
    /// Retries by itself, 8 attempts in all: for calls without a capacity limiter.
    pub retrying: aws_sdk_dynamodb::Client,
    /// The change streams. Retries by itself.
    pub streams: aws_sdk_dynamodbstreams::Client,
    /// The region.
    pub region: String,
    /// The address of the service. `None` for the region's own.
    pub endpoint: Option<String>,
    /// The time by the clock of the service.
    pub clock: ServiceClock,
    /// Whether the service is an emulator: on this machine, or in the process without an address.
    is_local: bool,
    /// The credentials of the standard chain. `None` where there is no chain, or where they are invented.
    credentials: Option<SharedCredentialsProvider>,
}

impl Connection {
    /// Makes the clients. Sends nothing, except what the credential chain needs for the region.
    ///
    /// # Errors
    ///
    /// No region is known, or the certificates that `AWS_CA_BUNDLE` names cannot be read.
    pub async fn open(options: ConnectOptions) -> Result<Self, StoreError> {
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        Self::load(loader, options).await
    }

    async fn load(loader: ConfigLoader, options: ConnectOptions) -> Result<Self, StoreError> {
        let in_process = options.http_client.is_some();
        let is_unnamed = in_process && options.endpoint.is_none();
        if !in_process && needs_profile(&options) {
            profile::check().await?;
        }
        let clock = ServiceClock::new(options.clock.unwrap_or(Timestamp::now));
        let http_client = match options.http_client {
            Some(client) => client,
            None => http::client()?,
        };
        let loader = match (options.region, in_process) {
            (Some(region), _) => loader.region(Region::new(region)),
            (None, true) => loader.region(Region::from_static("us-east-1")),
            (None, false) => loader.region(
                RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                    .or_else(ProfileFileRegionProvider::new()),
            ),
        };
        let loader = match &options.endpoint {
            Some(endpoint) => loader.endpoint_url(endpoint),
            None if in_process => loader.endpoint_url("http://localhost"),
            None => loader,
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = loader
            .http_client(http_client)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .load()
            .await;
        let Some(region) = config.region().map(Region::to_string) else {
            return Err(StoreError::new(
                StoreErrorKind::Unreachable,
                "no AWS region: name it in the store (dynamodb://PREFIX?region=us-east-2), in \
                 AWS_REGION, or in the profile",
            ));
        };
        if !is_region_name(&region) {
            return Err(StoreError::new(
                StoreErrorKind::Unreachable,
                format!(
                    "{region:?} is no name of an AWS region: expected one such as us-east-2, in the store \
                     (dynamodb://PREFIX?region=us-east-2), in AWS_REGION, or in the profile"
                ),
            ));
        }
        let endpoint = config.endpoint_url().map(str::to_owned);
        let local = endpoint.as_deref().is_some_and(http::is_this_machine);
        let invented = in_process || (local && !has_credentials());
        let is_local = local || is_unnamed;
        let address = (endpoint, is_local);
        Ok(Self::of(&config, region, address, invented, clock))
    }

    /// Returns whether the service is an emulator: on this machine, or in the process without an address.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// Returns the number of the account. `None` where the credentials do not contain it: no request is sent to
    /// find it.
    pub(crate) async fn account(&self) -> Option<String> {
        let credentials = self
            .credentials
            .as_ref()?
            .provide_credentials()
            .await
            .ok()?;
        let account = credentials.account_id();
        account.map(|account| account.as_str().to_owned())
    }

    /// Makes the clients; with invented credentials for an emulator, which ignores them, but
    /// without which the SDK sends nothing.
    fn of(
        config: &SdkConfig,
        region: String,
        (endpoint, is_local): (Option<String>, bool),
        invented: bool,
        clock: ServiceClock,
    ) -> Self {
        let mut dynamo = aws_sdk_dynamodb::config::Builder::from(config);
        let mut streams = aws_sdk_dynamodbstreams::config::Builder::from(config);
        if invented {
            let credentials = Credentials::new("divvy", "divvy", None, None, "emulator");
            dynamo = dynamo.credentials_provider(credentials.clone());
            streams = streams.credentials_provider(credentials);
        }
        dynamo = dynamo
            .retry_classifier(NoRetryIfUnreachable)
            .interceptor(clock.clone());
        streams = streams.retry_classifier(NoRetryIfUnreachable);
        let retrying = dynamo.clone().build();
        let once = dynamo.retry_config(RetryConfig::disabled()).build();
        Self {
            dynamo: aws_sdk_dynamodb::Client::from_conf(once),
            retrying: aws_sdk_dynamodb::Client::from_conf(retrying),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams.build()),
            region,
            endpoint,
            clock,
            is_local,
            credentials: config.credentials_provider().filter(|_| !invented),
        }
    }
}

/// Returns whether a text may be the name of a region: it becomes a part of the name of a host.
fn is_region_name(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_delimited = text.starts_with('-') || text.ends_with('-');
    !text.is_empty() && !is_delimited && text.chars().all(is_of_name)
}

/// Returns whether the profile may decide: it does not where region and credentials come from elsewhere.
fn needs_profile(options: &ConnectOptions) -> bool {
    let endpoint = options.endpoint.clone();
    let endpoint = endpoint.or_else(|| variable("AWS_ENDPOINT_URL"));
    let is_local = endpoint.as_deref().is_some_and(http::is_this_machine);
    let has_region = options.region.is_some()
        || variable("AWS_REGION").is_some()
        || variable("AWS_DEFAULT_REGION").is_some();
    let has_keys = variable("AWS_ACCESS_KEY_ID").is_some();
    !has_region || !(has_keys || (is_local && !has_credentials()))
}

/// Returns a variable of the environment. `None` where it is not set, or empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns whether the environment names credentials.
fn has_credentials() -> bool {
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ]
    .iter()
    .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_sdk_dynamodb::error::SdkError;
    use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    /// The response of a canned service: status and body.
    pub type Canned = Result<(u16, String), ConnectorError>;

    /// Makes a client that gets `answer(operation, body)` as the response to each request.
    pub fn canned(
        answer: impl Fn(&str, &str) -> Canned + Clone + Send + Sync + 'static,
    ) -> SharedHttpClient {
        http_client_fn(move |_, _| SharedHttpConnector::new(CannedConnector(answer.clone())))
    }

    #[derive(Clone)]
    struct CannedConnector<F>(F);

    impl<F> std::fmt::Debug for CannedConnector<F> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("CannedConnector")
        }
    }

    impl<F: Fn(&str, &str) -> Canned + Send + Sync> HttpConnector for CannedConnector<F> {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default();
            let body = request.body().bytes().unwrap_or_default();
            let answer = (self.0)(operation, &String::from_utf8_lossy(body));
            HttpConnectorFuture::ready(answer.map(|(status, body)| {
                let status = StatusCode::try_from(status).unwrap();
                HttpResponse::new(status, SdkBody::from(body))
            }))
        }
    }

    /// Connects to a canned service, whatever the environment is.
    pub async fn connection(
        answer: impl Fn(&str, &str) -> Canned + Clone + Send + Sync + 'static,
    ) -> Connection {
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).empty_test_environment();
        let options = ConnectOptions {
            http_client: Some(canned(answer)),
            ..ConnectOptions::default()
        };
        Connection::load(loader, options).await.unwrap()
    }

    /// Returns the error of a request to a canned service.
    pub async fn refused(
        answer: impl Fn(&str, &str) -> Canned + Clone + Send + Sync + 'static,
    ) -> SdkError<DescribeTableError, HttpResponse> {
        let connection = connection(answer).await;
        let request = connection.dynamo.describe_table().table_name("TripData");
        request.send().await.unwrap_err()
    }

    #[tokio::test]
    async fn an_emulator_needs_no_account() {
        let connection = connection(|operation, body| {
            assert_eq!(operation, "DescribeTable");
            assert_eq!(body, r#"{"TableName":"TripData"}"#);
            Ok((200, r#"{"Table":{"TableName":"TripData"}}"#.into()))
        })
        .await;
        assert_eq!(connection.region, "us-east-1");
        let request = connection.dynamo.describe_table().table_name("TripData");
        let table = request.send().await.unwrap().table.unwrap();
        assert_eq!(table.table_name(), Some("TripData"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_connection_is_not_retried() {
        let started = tokio::time::Instant::now();
        let refuse = |_: &str, _: &str| {
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            Err(ConnectorError::io(refused.into()))
        };
        let connection = connection(refuse).await;
        let request = connection.retrying.describe_table().table_name("TripData");
        assert!(request.send().await.is_err());
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn single_calls_are_retried_and_paced_ones_are_not() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicU32, Ordering};

        let calls = Arc::new(AtomicU32::new(0));
        let counted = calls.clone();
        let connection = connection(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok((500, r#"{"__type":"x#InternalServerError"}"#.into()))
        })
        .await;
        for (client, attempts) in [(&connection.dynamo, 1), (&connection.retrying, ATTEMPTS)] {
            calls.store(0, Ordering::Relaxed);
            let answer = client.describe_table().table_name("TripData").send().await;
            assert!(answer.is_err());
            assert_eq!(calls.load(Ordering::Relaxed), attempts);
        }
    }
}
