//! One notice to a webhook, as a POST request.

use std::time::Duration;

use anyhow::bail;
use divvy::alarms::{self, Notice, SIGNATURE_HEADER};
use divvy::sources::http::{Client, Problem};
use jiff::Timestamp;

use super::Outcome;

/// How long a webhook may take to answer.
const MAX_REQUEST: Duration = Duration::from_secs(10);

/// A webhook of one target.
pub struct Webhook {
    url: String,
    client: Client,
    /// What its requests are signed with. `None`: they are not signed.
    secret: Option<Vec<u8>>,
}

impl Webhook {
    /// Makes the webhook of a target. Reads its secret from the environment variable.
    pub(super) fn new(target: &str, url: &str, secret_env: Option<&str>) -> anyhow::Result<Self> {
        let mut secret = None;
        if let Some(variable) = secret_env {
            match std::env::var_os(variable).filter(|value| !value.is_empty()) {
                Some(value) => secret = Some(value.into_encoded_bytes()),
                None => bail!(
                    "target {target}: the environment variable {variable} is not set, which has the secret for its \
                     signatures"
                ),
            }
        }
        Ok(Self {
            url: url.to_owned(),
            client: Client::with_time_limit(MAX_REQUEST),
            secret,
        })
    }

    /// Sends a notice. Statuses that do not become better are refusals.
    pub(super) fn post(&self, notice: &Notice, body: &[u8]) -> Outcome {
        let secret = self.secret.as_deref();
        let signature =
            secret.map(|secret| alarms::sign(secret, Timestamp::now().as_second(), body));
        let mut headers = vec![
            ("content-type", "application/json"),
            ("idempotency-key", notice.id.as_str()),
        ];
        headers.extend(signature.as_deref().map(|value| (SIGNATURE_HEADER, value)));
        match self.client.post(&self.url, &headers, body) {
            Ok(()) => Outcome::Sent,
            Err(Problem::Status {
                status,
                retry_after,
            }) => {
                let reason = format!("the webhook answers {status}");
                match status {
                    408 | 429 | 500..=599 => Outcome::Later {
                        reason,
                        wait: retry_after,
                    },
                    _ => Outcome::Refused { reason },
                }
            }
            Err(problem @ (Problem::BadUrl | Problem::NotPublic { .. })) => Outcome::Refused {
                reason: problem.to_string(),
            },
            Err(problem) => Outcome::Later {
                reason: problem.to_string(),
                wait: None,
            },
        }
    }
}
