//! Failed requests as a [`StoreError`]: its kind, and one sentence with the reason.

use std::error::Error;
use std::io;

use super::cause::{UnknownHost, causes, innermost, is_not_http, is_not_tls, is_unknown_host};
use super::throttle::{Throttle, throttles};
use StoreErrorKind::{Busy, Unreachable};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::retry::ErrorKind;
use divvy::store::{StoreError, StoreErrorKind};

/// Makes the error of a failed request, with the message `{doing}: {why}`.
///
/// `doing` names the operation and the table, such as `writing trips to prod-TripData`. The kind
/// is [`Busy`] where a later attempt may succeed, else [`Unreachable`].
pub fn store_error<E>(error: &SdkError<E, HttpResponse>, doing: &str) -> StoreError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (kind, why) = why(error);
    StoreError::new(kind, format!("{doing}: {why}"))
}

/// Describes why a request failed that is repeated: without the advice to try again.
pub(crate) fn cause<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (_, why) = why(error);
    match why.split_once(": try again") {
        Some((cause, _)) => cause.to_owned(),
        None => why,
    }
}

fn why<E>(error: &SdkError<E, HttpResponse>) -> (StoreErrorKind, String)
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let answer = service.err();
            let code = answer.code().unwrap_or_default();
            let message = answer.message().unwrap_or_default();
            let status = service.raw().status().as_u16();
            service_reason(status, code, message, &throttles(error))
        }
        SdkError::TimeoutError(_) => (Busy, "no answer in time".into()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() && !is_connecting(error) => {
            (Busy, "no answer in time".into())
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => (
            Unreachable,
            "no connection in time: check the endpoint, the region and the network".into(),
        ),
        SdkError::DispatchFailure(failure)
            if failure.as_other() == Some(ErrorKind::TransientError) =>
        {
            let why = "the connection was closed before an answer came: try again";
            (Busy, why.into())
        }
        SdkError::ResponseError(response) => not_dynamodb(response.raw().status().as_u16()),
        _ => unsent(error),
    }
}

/// Returns whether a timeout is that of making the connection. The HTTP client has no type for that, only a text.
fn is_connecting(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.to_string().contains("connect"))
}

/// Returns the reason for a response that is not DynamoDB's.
fn not_dynamodb(status: u16) -> (StoreErrorKind, String) {
    let why = format!(
        "the server at the endpoint is not DynamoDB (its answer is HTTP {status}): check the endpoint"
    );
    (Unreachable, why)
}

/// Returns the reason for an error that the service answered.
fn service_reason(
    status: u16,
    code: &str,
    message: &str,
    throttles: &[Throttle],
) -> (StoreErrorKind, String) {
    match code {
        _ if is_throttle(code) || !throttles.is_empty() => {
            let reasons: Vec<String> = throttles.iter().map(Throttle::to_string).collect();
            if reasons.is_empty() && code == "LimitExceededException" && !message.is_empty() {
                (
                    Busy,
                    format!("DynamoDB refuses for now: {message} ({code})"),
                )
            } else if reasons.is_empty() {
                (Busy, format!("throttled ({code})"))
            } else {
                (Busy, format!("throttled: {}", reasons.join(", and ")))
            }
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => (
            Unreachable,
            "AWS rejects these credentials: check that the access key is right and active".into(),
        ),
        "ExpiredTokenException" | "ExpiredToken" => (
            Unreachable,
            "the AWS credentials have expired: sign in again (aws sso login) or get new ones"
                .into(),
        ),
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "IncompleteSignatureException" => {
            let is_clock_wrong = message.contains("expired") || message.contains("not yet current");
            let why = if is_clock_wrong {
                "AWS refuses the time of the request: check the clock of this computer"
            } else {
                "AWS refuses the signature: the secret access key is not that of the access key"
            };
            (Unreachable, why.into())
        }
        "AccessDeniedException" | "AccessDenied" => (Unreachable, denied(message)),
        "ResourceNotFoundException" => (
            Unreachable,
            match word_after(message, "Table: ") {
                Some(table) => format!("there is no table {table} in this region and account"),
                None => "there is no such table in this region and account".into(),
            },
        ),
        "ResourceInUseException" => {
            let state = ["created", "deleted", "updated"];
            let state = state.into_iter().find(|state| message.contains(state));
            let state = state.unwrap_or("changed");
            (
                Busy,
                format!("the table is being {state}: try again in a minute"),
            )
        }
        // 501: a web server that has no POST.
        "" if status < 500 || status == 501 => not_dynamodb(status),
        _ if status >= 500 => (
            Busy,
            format!("DynamoDB failed (HTTP {status} {code}): try again later"),
        ),
        _ => (
            Unreachable,
            if message.is_empty() {
                format!("DynamoDB refuses (HTTP {status} {code})")
            } else {
                format!("DynamoDB refuses: {message} ({code})")
            },
        ),
    }
}

fn is_throttle(code: &str) -> bool {
    [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "Throttling",
        "RequestLimitExceeded",
        "LimitExceededException",
    ]
    .contains(&code)
}

/// Returns the reason for denied access, read from a message such as
/// `User: ARN is not authorized to perform: ACTION on resource: ARN because …`
fn denied(message: &str) -> String {
    let action = word_after(message, "not authorized to perform: ");
    let resource = word_after(message, "on resource: ");
    match (action, resource) {
        (Some(action), Some(resource)) => {
            format!(
                "these credentials may not call {action} on {resource}: grant it, or use others"
            )
        }
        (Some(action), None) => {
            format!("these credentials may not call {action}: grant it, or use others")
        }
        _ => format!("access denied: {message}"),
    }
}

/// Returns the word after a phrase.
fn word_after<'a>(message: &'a str, phrase: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(phrase)?;
    let word = rest.split_whitespace().next()?;
    Some(word.trim_end_matches(['.', ',']))
}

/// Returns the reason for a request that was not sent or not answered.
fn unsent(error: &(dyn Error + 'static)) -> (StoreErrorKind, String) {
    let chain = || causes(error);
    if let Some(cause) = chain().find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
        return (Unreachable, without_credentials(cause));
    }
    let texts: Vec<String> = chain().map(ToString::to_string).collect();
    let contains = |phrase: &str| texts.iter().any(|text| text.contains(phrase));
    let io = chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    let why = match io.map(io::Error::kind) {
        _ if contains("identity resolver timed out") => {
            "no AWS credentials in time: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or sign in (aws \
             sso login)"
        }
        _ if chain().any(is_unknown_host) => {
            let mut named = chain().filter_map(|cause| cause.downcast_ref::<UnknownHost>());
            let host = named.next().map_or_else(
                || "no host of that name can be found".to_owned(),
                UnknownHost::to_string,
            );
            let why = format!("{host}: check the endpoint, the region and the network");
            return (Unreachable, why);
        }
        _ if chain().any(is_not_tls) => {
            "the server at the endpoint does not use https: write http:// in the endpoint, or another port"
        }
        _ if chain().any(is_not_http) => {
            "the server at the endpoint does not use http: write https:// in the endpoint, or another port"
        }
        _ if contains("invalid peer certificate") => {
            "the certificate of the host is not trusted: check the endpoint, the proxy, and \
             AWS_CA_BUNDLE"
        }
        Some(io::ErrorKind::ConnectionRefused) => {
            "the connection was refused: check the host and the port of the endpoint"
        }
        Some(_) => {
            let why = format!("the connection broke ({}): try again", innermost(error));
            return (Busy, why);
        }
        None => {
            let why = format!("the request was not sent: {}", innermost(error));
            return (Unreachable, why);
        }
    };
    (Unreachable, why.into())
}

const NO_CREDENTIALS: &str = "no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or \
                              sign in (aws sso login)";

fn without_credentials(error: &CredentialsError) -> String {
    // The instance metadata service is the last provider of the chain; most machines have none.
    let is_no_instance = causes(error).any(|cause| cause.to_string().contains("IMDS"));
    match error {
        _ if is_no_instance => NO_CREDENTIALS.into(),
        CredentialsError::CredentialsNotLoaded(_) => NO_CREDENTIALS.into(),
        CredentialsError::ProviderTimedOut(_) => {
            "the provider of the AWS credentials does not answer in time".into()
        }
        _ => {
            let cause = innermost(error);
            let is_old = causes(error).any(|cause| {
                let text = cause.to_string().to_lowercase();
                text.contains("expired") || text.contains("sso")
            });
            let hint = if is_old {
                ": sign in again (aws sso login)"
            } else {
                ""
            };
            format!("the AWS credentials cannot be obtained ({cause}){hint}")
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
    use aws_smithy_runtime_api::client::result::ConnectorError;

    use super::super::tests::{Canned, refused};
    use super::super::throttle::{Access, Limit};
    use super::*;

    const DOING: &str = "writing trips to TripData";

    async fn reason(answer: impl Fn() -> Canned + Clone + Send + Sync + 'static) -> String {
        let error = refused(move |_, _| answer()).await;
        let StoreError { kind, message, .. } = store_error(&error, DOING);
        format!("{kind:?} {}", message.replace(DOING, "…"))
    }

    /// Returns kind and message for an error response with a code.
    async fn of(status: u16, code: &str, message: &str) -> String {
        let namespace = "com.amazonaws.dynamodb.v20120810";
        let body = format!(r#"{{"__type":"{namespace}#{code}","message":"{message}"}}"#);
        reason(move || Ok((status, body.clone()))).await
    }

    #[tokio::test]
    async fn each_error_of_the_service_has_its_sentence() {
        let user = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform:";
        let table = "arn:aws:dynamodb:us-east-2:123456789012:table/TripData";
        let because = "because no identity-based policy allows the dynamodb:BatchWriteItem action";
        let denied = format!("{user} dynamodb:BatchWriteItem on resource: {table} {because}");
        let sentences = [
            of(400, "UnrecognizedClientException", "The security token included in the request is invalid.").await,
            of(400, "ExpiredTokenException", "The security token included in the request is expired").await,
            of(400, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided.").await,
            of(400, "InvalidSignatureException", "Signature expired: 20261124T000000Z is now earlier than").await,
            of(400, "AccessDeniedException", &denied).await,
            of(400, "ResourceNotFoundException", "Requested resource not found: Table: TripData not found").await,
            of(400, "ResourceNotFoundException", "Requested resource not found").await,
            of(400, "ResourceInUseException", "Attempt to change a resource which is still in use: Table is being deleted: TripData").await,
            of(400, "ResourceInUseException", "Table is being created: TripData").await,
            of(400, "ThrottlingException", "Rate of requests exceeds the allowed throughput.").await,
            of(400, "ValidationException", "One or more parameter values were invalid").await,
            of(500, "InternalServerError", "").await,
            reason(|| Ok((200, "<html>".into()))).await,
        ];
        insta::assert_snapshot!(sentences.join("\n"), @r"
        Unreachable …: AWS rejects these credentials: check that the access key is right and active
        Unreachable …: the AWS credentials have expired: sign in again (aws sso login) or get new ones
        Unreachable …: AWS refuses the signature: the secret access key is not that of the access key
        Unreachable …: AWS refuses the time of the request: check the clock of this computer
        Unreachable …: these credentials may not call dynamodb:BatchWriteItem on arn:aws:dynamodb:us-east-2:123456789012:table/TripData: grant it, or use others
        Unreachable …: there is no table TripData in this region and account
        Unreachable …: there is no such table in this region and account
        Busy …: the table is being deleted: try again in a minute
        Busy …: the table is being created: try again in a minute
        Busy …: throttled (ThrottlingException)
        Unreachable …: DynamoDB refuses: One or more parameter values were invalid (ValidationException)
        Busy …: DynamoDB failed (HTTP 500 InternalServerError): try again later
        Unreachable …: the server at the endpoint is not DynamoDB (its answer is HTTP 200): check the endpoint
        ");
    }

    #[tokio::test]
    async fn a_throttle_says_what_is_exhausted() {
        let arn = "arn:aws:dynamodb:us-east-2:123456789012:table/TripData";
        let reasons = format!(
            r#"[{{"reason":"IndexWriteProvisionedThroughputExceeded",
                  "resource":"{arn}/index/from_station_id-index"}},
                {{"reason":"TableWriteKeyRangeThroughputExceeded","resource":"{arn}"}}]"#
        );
        let body = format!(
            r#"{{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                "message":"slow down","ThrottlingReasons":{reasons}}}"#
        );
        let error = refused(move |_, _| Ok((400, body.clone()))).await;
        let expected = [
            Throttle {
                table: "TripData".into(),
                index: Some("from_station_id-index".into()),
                access: Access::Write,
                limit: Limit::Provisioned,
            },
            Throttle {
                table: "TripData".into(),
                index: None,
                access: Access::Write,
                limit: Limit::KeyRange,
            },
        ];
        assert_eq!(throttles(&error), expected);
        let throttled = store_error(&error, DOING);
        assert_eq!(throttled.kind, Busy);
        insta::assert_snapshot!(throttled, @"writing trips to TripData: throttled: the provisioned write capacity of index from_station_id-index of table TripData, and the write capacity of one partition (a hot key range) of table TripData");

        let ceiling = r#"{"__type":"x#ThrottlingException","throttlingReasons":[{"reason":
            "TableReadMaxOnDemandThroughputExceeded","resource":"arn:aws:dynamodb:r:1:table/T"}]}"#;
        let error = refused(move |_, _| Ok((400, ceiling.into()))).await;
        insta::assert_snapshot!(store_error(&error, DOING), @"writing trips to TripData: throttled: the on-demand read ceiling of table T");
    }

    #[tokio::test]
    async fn each_request_that_is_not_sent_has_its_sentence() {
        let io = |kind| move || Err(ConnectorError::io(io::Error::from(kind).into()));
        let lost = |error: CredentialsError| {
            let error = ConnectorError::other(error.into(), None);
            let error = SdkError::<DescribeTableError, HttpResponse>::dispatch_failure(error);
            let StoreError { kind, message, .. } = store_error(&error, DOING);
            format!("{kind:?} {}", message.replace(DOING, "…"))
        };
        let sentences = [
            reason(io(io::ErrorKind::ConnectionRefused)).await,
            reason(io(io::ErrorKind::ConnectionReset)).await,
            reason(|| {
                let error = io::Error::other("dns error: failed to lookup address information");
                Err(ConnectorError::io(error.into()))
            })
            .await,
            reason(|| Err(ConnectorError::timeout("connect timed out".into()))).await,
            reason(|| {
                Err(ConnectorError::timeout(
                    "HTTP read timeout occurred after 20s".into(),
                ))
            })
            .await,
            reason(|| {
                let error = "connection closed before message completed";
                Err(ConnectorError::other(
                    error.into(),
                    Some(ErrorKind::TransientError),
                ))
            })
            .await,
            lost(CredentialsError::not_loaded_no_source()),
            lost(CredentialsError::provider_error(
                "request forbidden: IMDS is disabled",
            )),
            lost(CredentialsError::provider_error(
                "the SSO token has expired",
            )),
            lost(CredentialsError::invalid_configuration(
                "profile ann names no source_profile",
            )),
        ];
        insta::assert_snapshot!(sentences.join("\n"), @r"
        Unreachable …: the connection was refused: check the host and the port of the endpoint
        Busy …: the connection broke (connection reset): try again
        Unreachable …: no host of that name can be found: check the endpoint, the region and the network
        Unreachable …: no connection in time: check the endpoint, the region and the network
        Busy …: no answer in time
        Busy …: the connection was closed before an answer came: try again
        Unreachable …: no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or sign in (aws sso login)
        Unreachable …: no AWS credentials found: set AWS_PROFILE or AWS_ACCESS_KEY_ID, or sign in (aws sso login)
        Unreachable …: the AWS credentials cannot be obtained (the SSO token has expired): sign in again (aws sso login)
        Unreachable …: the AWS credentials cannot be obtained (profile ann names no source_profile)
        ");
    }
}
