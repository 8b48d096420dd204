//! One notice to stdout, a program or a webhook.

use std::io::{self, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use divvy::alarms::{self, Delivery, Notice, SIGNATURE_HEADER, Target};
use divvy::sources::http::{Client, Problem};
use jiff::Timestamp;

/// How long a webhook may take to answer.
const MAX_REQUEST: Duration = Duration::from_secs(10);

/// How long a program may run for a notice.
const MAX_RUN: Duration = Duration::from_secs(30);

/// What came of sending a notice.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has taken it.
    Sent,
    /// It failed, and may succeed later.
    Later {
        /// Why, as a sentence.
        reason: String,
        /// How long the target asks to wait. `None` where it does not.
        wait: Option<Duration>,
    },
    /// The target refuses it for good.
    Refused {
        /// Why, as a sentence.
        reason: String,
    },
    /// The reader of stdout has closed it.
    Closed,
}

/// What sends notices to one target.
pub struct Sender {
    delivery: Delivery,
    client: Client,
    /// The secret of a webhook.
    secret: Option<Vec<u8>>,
    max_run: Duration,
}

impl Sender {
    /// Makes the sender of a target. Reads the secret from its environment variable.
    ///
    /// # Errors
    ///
    /// The variable is not set, or empty.
    pub fn new(target: &Target) -> anyhow::Result<Self> {
        let mut secret = None;
        if let Delivery::Webhook {
            secret_env: Some(variable),
            ..
        } = &target.delivery
        {
            match std::env::var_os(variable).filter(|value| !value.is_empty()) {
                Some(value) => secret = Some(value.into_encoded_bytes()),
                None => bail!(
                    "target {}: the environment variable {variable} is not set, which has the secret for its signatures",
                    target.name
                ),
            }
        }
        Ok(Self {
            delivery: target.delivery.clone(),
            client: Client::with_time_limit(MAX_REQUEST),
            secret,
            max_run: MAX_RUN,
        })
    }

    /// Sends a notice. Blocks until the target has answered, or for its time limit.
    pub fn send(&self, notice: &Notice) -> Outcome {
        let body = match serde_json::to_vec(notice) {
            Ok(body) => body,
            Err(error) => {
                return Outcome::Refused {
                    reason: error.to_string(),
                };
            }
        };
        match &self.delivery {
            Delivery::Stdout => print(body),
            Delivery::Exec { command } => self.run(command, notice, &body),
            Delivery::Webhook { url, .. } => self.post(url, notice, &body),
        }
    }

    fn post(&self, url: &str, notice: &Notice, body: &[u8]) -> Outcome {
        let secret = self.secret.as_deref();
        let signature =
            secret.map(|secret| alarms::sign(secret, Timestamp::now().as_second(), body));
        let mut headers = vec![
            ("content-type", "application/json"),
            ("idempotency-key", notice.id.as_str()),
        ];
        headers.extend(signature.as_deref().map(|value| (SIGNATURE_HEADER, value)));
        match self.client.post(url, &headers, body) {
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

    /// Starts a program with the notice on its stdin. What it prints to stdout is discarded: that of this
    /// process has data.
    fn run(&self, command: &[String], notice: &Notice, body: &[u8]) -> Outcome {
        let (program, arguments) = match command {
            [program, arguments @ ..] => (program, arguments),
            [] => {
                return Outcome::Refused {
                    reason: "there is no program".into(),
                };
            }
        };
        let started = Command::new(program)
            .args(arguments)
            .env("DIVVY_NOTICE_ID", &notice.id)
            .env("DIVVY_RULE", &notice.rule)
            .env("DIVVY_WHEN", &notice.when)
            .env("DIVVY_SYSTEM", &notice.system)
            .env("DIVVY_SUBJECT", &notice.subject)
            .env("DIVVY_NAME", notice.name.as_deref().unwrap_or_default())
            .env("DIVVY_STATE", notice.state.as_str())
            .env("DIVVY_SINCE", &notice.since)
            .env("DIVVY_AT", &notice.at)
            .env("DIVVY_TEXT", &notice.text)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn();
        let later = |reason: String| Outcome::Later { reason, wait: None };
        let mut child = match started {
            Ok(child) => child,
            Err(error) => return later(format!("{program} cannot be started: {error}")),
        };
        if let Some(mut input) = child.stdin.take() {
            let body = body.to_vec();
            // A program need not read it: a write that waits fails when the program has ended.
            thread::spawn(move || drop(input.write_all(&body)));
        }
        match wait(&mut child, self.max_run) {
            Ok(Some(status)) if status.success() => Outcome::Sent,
            Ok(Some(status)) => later(format!("{program} ends with {status}")),
            Ok(None) => later(format!(
                "{program} runs for longer than {} s, and was ended",
                self.max_run.as_secs()
            )),
            Err(error) => later(format!("{program}: {error}")),
        }
    }
}

/// Waits for the end of a program, and ends it after a time. Returns `None` then.
fn wait(child: &mut Child, at_most: Duration) -> io::Result<Option<ExitStatus>> {
    const STEP: Duration = Duration::from_millis(20);
    let until = Instant::now() + at_most;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(STEP);
    }
}

/// Prints a line to stdout.
fn print(mut line: Vec<u8>) -> Outcome {
    line.push(b'\n');
    let mut out = io::stdout().lock();
    match out.write_all(&line).and_then(|()| out.flush()) {
        Ok(()) => Outcome::Sent,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Closed,
        Err(error) => Outcome::Later {
            reason: format!("cannot write to stdout: {error}"),
            wait: None,
        },
    }
}
