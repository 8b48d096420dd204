//! One notice to a program, which is started for it.

use std::io::{self, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use divvy::alarms::Notice;

use super::Outcome;

/// How long a program may run for a notice.
const MAX_RUN: Duration = Duration::from_secs(30);

/// Starts a program with the notice on its stdin. What it prints to stdout is discarded: that of this
/// process has data.
pub(super) fn run(command: &[String], notice: &Notice, body: &[u8]) -> Outcome {
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
    match wait(&mut child, MAX_RUN) {
        Ok(Some(status)) if status.success() => Outcome::Sent,
        Ok(Some(status)) => later(format!("{program} ends with {status}")),
        Ok(None) => later(format!(
            "{program} runs for longer than {} s, and was ended",
            MAX_RUN.as_secs()
        )),
        Err(error) => later(format!("{program}: {error}")),
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
