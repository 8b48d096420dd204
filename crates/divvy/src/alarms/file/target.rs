//! One target of a file.

use serde::Deserialize;
use toml::Spanned;

use super::{Parsed, mistake};
use crate::alarms::rule::{Delivery, Target};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) name: Spanned<String>,
    stdout: Option<Spanned<bool>>,
    exec: Option<Spanned<Vec<String>>>,
    webhook: Option<Spanned<String>>,
    secret_env: Option<Spanned<String>>,
}

/// Reads a target.
pub(super) fn read(entry: &Spanned<Entry>) -> Parsed<Target> {
    const EXPECTED: &str =
        "expected one of stdout = true, exec = [\"program\", …] and webhook = \"https://…\"";
    const MAX_NAME: usize = 64;
    let own = entry.as_ref();
    let name = own.name.as_ref();
    let is_simple = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.chars().all(is_simple) || name.len() > MAX_NAME {
        return mistake(
            &own.name,
            format_args!(
                "{name:?} is no name of a target: expected up to {MAX_NAME} letters, digits, - and _"
            ),
        );
    }
    if let (Some(secret), None) = (&own.secret_env, &own.webhook) {
        return mistake(secret, "secret_env is for webhooks");
    }
    let delivery = match (&own.stdout, &own.exec, &own.webhook) {
        (Some(is_on), None, None) => match is_on.as_ref() {
            true => Delivery::Stdout,
            false => {
                return mistake(
                    is_on,
                    format_args!("stdout = false sends nothing: {EXPECTED}"),
                );
            }
        },
        (None, Some(command), None) => match command.as_ref().first() {
            Some(program) if !program.is_empty() => Delivery::Exec {
                command: command.as_ref().clone(),
            },
            _ => {
                return mistake(
                    command,
                    "a command without a program: expected [\"program\", \"argument\", …]",
                );
            }
        },
        (None, None, Some(url)) => webhook(url, own.secret_env.as_ref())?,
        (None, None, None) => {
            return mistake(
                &own.name,
                format_args!("a target without a way to send: {EXPECTED}"),
            );
        }
        _ => {
            return mistake(
                &own.name,
                format_args!("a target with several ways to send: {EXPECTED}"),
            );
        }
    };
    Ok(Target {
        name: name.clone(),
        delivery,
    })
}

fn webhook(url: &Spanned<String>, secret_env: Option<&Spanned<String>>) -> Parsed<Delivery> {
    let is_web = ["http://", "https://"]
        .iter()
        .any(|scheme| url.as_ref().starts_with(scheme));
    if !is_web {
        return mistake(url, "not a web address: expected http://… or https://…");
    }
    if let Some(variable) = secret_env {
        let is_name = |text: &str| !text.is_empty() && !text.contains(['=', '\0']);
        if !is_name(variable.as_ref()) {
            return mistake(variable, "not the name of an environment variable");
        }
    }
    Ok(Delivery::Webhook {
        url: url.as_ref().clone(),
        secret_env: secret_env.map(|it| it.as_ref().clone()),
    })
}
