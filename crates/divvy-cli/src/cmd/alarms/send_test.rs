//! A notice of a test to each target.

use std::process::ExitCode;

use anyhow::bail;
use divvy::alarms::{Notice, NoticeState, Rules, Values};
use jiff::Timestamp;

use crate::cmd::notices::{Outcome, Sender};
use crate::messages;
use crate::open::Common;

/// Sends a notice to each target once, and prints what came of it.
///
/// # Errors
///
/// There is no target, or a secret is missing.
pub fn run(rules: &Rules, common: &Common) -> anyhow::Result<ExitCode> {
    if rules.targets.is_empty() {
        bail!("the rules have no target to send a test to: expected [[target]]");
    }
    let notice = test_notice(Timestamp::now());
    let mut is_failed = false;
    for target in &rules.targets {
        let name = &target.name;
        match Sender::new(target)?.send(&notice) {
            Outcome::Sent | Outcome::Closed => common.say(format_args!("target {name}: taken")),
            Outcome::Later { reason, .. } | Outcome::Refused { reason } => {
                messages::print_error(format_args!("target {name}: {reason}"));
                is_failed = true;
            }
        }
    }
    Ok(match is_failed {
        true => ExitCode::from(2),
        false => ExitCode::SUCCESS,
    })
}

fn test_notice(now: Timestamp) -> Notice {
    let at = now.to_string();
    Notice {
        id: format!("{:032x}", now.as_nanosecond()),
        rule: "test".into(),
        when: "test".into(),
        system: "test".into(),
        subject: "test".into(),
        name: None,
        state: NoticeState::Event,
        since: at.clone(),
        at,
        text: "a test of divvy alarms --send-test".into(),
        values: Values::default(),
    }
}
