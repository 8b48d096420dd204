//! One notice to stdout, a program or a webhook.

mod program;
mod webhook;

use std::io::{self, Write};
use std::time::Duration;

use divvy::alarms::{Delivery, Notice, Target};

use webhook::Webhook;

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
pub enum Sender {
    /// It prints lines to stdout.
    Stdout,
    /// It starts this program with these arguments.
    Program(Vec<String>),
    /// It sends requests.
    Webhook(Webhook),
}

impl Sender {
    /// Makes the sender of a target. Reads the secret of a webhook from its environment variable.
    ///
    /// # Errors
    ///
    /// The variable is not set, or empty.
    pub fn new(target: &Target) -> anyhow::Result<Self> {
        Ok(match &target.delivery {
            Delivery::Stdout => Self::Stdout,
            Delivery::Exec { command } => Self::Program(command.clone()),
            Delivery::Webhook { url, secret_env } => {
                let webhook = Webhook::new(&target.name, url, secret_env.as_deref());
                Self::Webhook(webhook?)
            }
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
        match self {
            Self::Stdout => print(body),
            Self::Program(command) => program::run(command, notice, &body),
            Self::Webhook(webhook) => webhook.post(notice, &body),
        }
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
