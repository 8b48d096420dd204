//! Alarms of a watch: notices reach targets that fail, each once and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command};
use std::time::Duration;

use divvy::alarms::sign;
use divvy_testkit::feed_server::{Behaviour, FeedServer};
use divvy_testkit::webhook_server::{Received, Reply, WebhookServer};
use jiff::Timestamp;
use serde_json::Value;

use crate::program::divvy;

const SECRET: &str = "the-shared-secret";

/// Rules that raise two notices and resolve two at each poll of the server of feeds.
fn rules(webhook: &WebhookServer) -> String {
    format!(
        r#"
[[rule]]
name = "empty"
when = "empty"
for = "0s"

[[target]]
name = "ops"
webhook = "{}"
secret_env = "TEST_SECRET"

[[target]]
name = "out"
stdout = true
"#,
        webhook.url()
    )
}

/// A watch with rules that runs.
struct Watching {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Watching {
    fn start(folder: &Path, server: &FeedServer) -> Self {
        Self::start_at(folder, &server.url())
    }

    fn start_at(folder: &Path, url: &str) -> Self {
        let mut command = divvy(folder);
        command.args([
            "watch",
            "--every",
            "1s",
            "--rules",
            "rules.toml",
            "--metrics",
            "0",
        ]);
        command.env("TEST_SECRET", SECRET).arg(url);
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Reads the next notice of stdout.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end. Returns the notices left on stdout, and stderr.
    fn end(mut self) -> (Vec<Value>, String) {
        let mut errors = String::new();
        let mut out = String::new();
        self.stdout.read_to_string(&mut out).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        self.child.wait().unwrap();
        // The last line of a killed process may be cut: it is printed again by the next one.
        let lines = out
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let notices = lines.map(|line| serde_json::from_str(line).unwrap());
        (notices.collect(), errors)
    }
}

fn id(notice: &Value) -> String {
    notice["id"].as_str().unwrap().to_owned()
}

/// Returns the ids of notices that were taken, in order.
fn taken(received: &[Received]) -> Vec<String> {
    let taken = received.iter().filter(|request| request.is_taken());
    let ids = taken.map(|request| request.header("idempotency-key").unwrap().to_owned());
    ids.collect()
}

fn expect_signed(received: &[Received]) {
    for request in received {
        let value = request.header("divvy-signature").unwrap();
        let seconds = value.strip_prefix("t=").unwrap();
        let (seconds, _) = seconds.split_once(',').unwrap();
        let expected = sign(SECRET.as_bytes(), seconds.parse().unwrap(), &request.body);
        assert_eq!(value, expected);
        let notice: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            Some(id(&notice).as_str()),
            request.header("idempotency-key")
        );
    }
}

/// Checks that notices of each station are raised and resolved in turn, each once.
fn expect_alternating(notices: &[Value]) {
    let mut ids = BTreeSet::new();
    let mut open: BTreeMap<String, bool> = BTreeMap::new();
    for notice in notices {
        assert!(ids.insert(id(notice)), "twice: {notice}");
        let subject = notice["subject"].as_str().unwrap().to_owned();
        let is_raised = notice["state"] == "raised";
        let is_open = open.insert(subject, is_raised).unwrap_or(false);
        assert_ne!(is_open, is_raised, "{notice}");
    }
}

#[cfg(unix)]
#[test]
fn a_webhook_that_fails_gets_all_notices_in_order() {
    let (server, webhook) = (FeedServer::start(0), WebhookServer::start());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), rules(&webhook)).unwrap();
    let replies = [
        Reply::Status(500),
        Reply::RetrySeconds(429, 2),
        Reply::Status(200),
        Reply::Closes,
        Reply::Status(400),
        Reply::Hangs(Duration::from_secs(12)),
        Reply::Status(408),
    ];
    webhook.reply(&replies, Reply::Status(204));
    let mut watching = Watching::start(folder.path(), &server);
    let mut printed: Vec<Value> = (0..12).map(|_| watching.next()).collect();
    // Polls go on while the webhook hangs: notices are printed meanwhile.
    let ids: Vec<String> = printed.iter().map(id).collect();
    let received = webhook.wait_for(|received| received.len() >= ids.len() + replies.len());
    watching.signal("-TERM");
    let (rest, errors) = watching.end();
    printed.extend(rest);

    expect_signed(&received);
    expect_alternating(&printed);
    // The second notice was refused for good, all others were taken in the order of stdout.
    let taken = taken(&received);
    let expected: Vec<&String> = ids
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != 1)
        .map(|(_, id)| id)
        .collect();
    assert_eq!(
        taken.iter().take(expected.len()).collect::<Vec<_>>(),
        expected
    );
    let refused = fs::read_to_string(folder.path().join("divvy-data/alarms/refused/ops.ndjson"));
    let refused: Value = serde_json::from_str(&refused.unwrap()).unwrap();
    assert_eq!(id(&refused["notice"]), ids[1]);
    assert_eq!(refused["reason"], "the webhook answers 400");
    assert!(
        errors.contains("target ops: the webhook answers 500; it is sent again, and "),
        "{errors}"
    );
    assert!(
        errors.contains("target ops: notices are taken again after "),
        "{errors}"
    );
    for secret in ["path-secret", "query-secret", SECRET] {
        assert!(!errors.contains(secret), "{errors}");
    }
}

#[cfg(unix)]
#[test]
fn a_webhook_that_refuses_all_notices_is_printed_once_with_their_number() {
    let (server, webhook) = (FeedServer::start(0), WebhookServer::start());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), rules(&webhook)).unwrap();
    webhook.reply(&[], Reply::Status(400));
    let mut watching = Watching::start(folder.path(), &server);
    for _ in 0..6 {
        watching.next();
    }
    webhook.wait_for(|received| received.len() >= 6);
    watching.signal("-TERM");
    let (_, errors) = watching.end();
    let alarms = folder.path().join("divvy-data/alarms");
    let refused = fs::read_to_string(alarms.join("refused/ops.ndjson")).unwrap();
    let refused = refused.lines().count();
    let lines: Vec<&str> = errors
        .lines()
        .filter(|line| line.contains("target ops: "))
        .collect();
    let moved = "moved to refused/ops.ndjson";
    let expected = [
        format!("target ops: the webhook answers 400: 1 notice {moved}"),
        format!("target ops: {} more notices {moved}", refused - 1),
    ];
    assert_eq!(lines, expected, "{errors}");
}

#[cfg(unix)]
#[test]
fn a_rule_that_was_changed_resolves_its_notices_after_the_restart() {
    let (server, webhook) = (FeedServer::start(0), WebhookServer::start());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    fs::write(&path, rules(&webhook)).unwrap();
    let mut watching = Watching::start(folder.path(), &server);
    let mut notices = vec![watching.next()];
    watching.signal("-TERM");
    notices.extend(watching.end().0);

    let changed = rules(&webhook).replace("when =", "system = \"divvy\"\nwhen =");
    fs::write(&path, changed).unwrap();
    let mut watching = Watching::start(folder.path(), &server);
    // Those that waited at the end of the first run come before the first of the second.
    let is_changed = |notice: &Value| notice["values"]["ending"] == "rule_changed";
    let mut open = BTreeSet::new();
    for notice in &notices {
        note_open(&mut open, notice);
    }
    let mut notice = watching.next();
    while !is_changed(&notice) {
        assert!(notices.len() < 40, "no notice of the changed rule");
        note_open(&mut open, &notice);
        notices.push(notice);
        notice = watching.next();
    }
    while !open.is_empty() {
        assert!(is_changed(&notice), "{notice}");
        note_open(&mut open, &notice);
        notices.push(notice);
        notice = watching.next();
    }
    assert!(!is_changed(&notice), "{notice}");
    notices.push(notice);
    watching.signal("-TERM");
    notices.extend(watching.end().0);
    expect_alternating(&notices);
}

/// Notes the subject of a notice as one that has an open notice, or as one that has none any more.
fn note_open(open: &mut BTreeSet<String>, notice: &Value) {
    let subject = notice["subject"].as_str().unwrap();
    match notice["state"] == "raised" {
        true => open.insert(subject.to_owned()),
        false => open.remove(subject),
    };
}

#[cfg(unix)]
#[test]
fn a_kill_between_raise_and_delivery_loses_nothing() {
    let (server, webhook) = (FeedServer::start(0), WebhookServer::start());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), rules(&webhook)).unwrap();
    webhook.reply(&[], Reply::Status(503));
    let mut printed = Vec::new();
    for kills in 0..3 {
        let mut watching = Watching::start(folder.path(), &server);
        for _ in 0..3 + kills {
            printed.push(watching.next());
        }
        watching.child.kill().unwrap();
        printed.extend(watching.end().0);
    }
    assert!(taken(&webhook.received()).is_empty());
    webhook.reply(&[], Reply::Status(204));
    let mut watching = Watching::start(folder.path(), &server);
    printed.push(watching.next());
    let ids: Vec<String> = printed.iter().map(id).collect();
    let received = webhook.wait_for(|received| taken(received).len() >= ids.len());
    watching.signal("-TERM");
    watching.end();
    expect_signed(&received);
    // A line that was printed when the process was killed may be printed again.
    let mut once = BTreeSet::new();
    printed.retain(|notice| once.insert(id(notice)));
    expect_alternating(&printed);
    let taken = taken(&received);
    let expected: Vec<String> = printed.iter().map(id).collect();
    assert_eq!(taken[..expected.len()], expected);
}

/// A process may be killed after it has written the state with its notices, and before the outboxes.
#[cfg(unix)]
#[test]
fn notices_of_the_state_that_no_outbox_has_are_sent_after_a_restart() {
    let (server, webhook) = (FeedServer::start(0), WebhookServer::start());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), rules(&webhook)).unwrap();
    let mut watching = Watching::start(folder.path(), &server);
    let mut lost = watching.next();
    watching.signal("-TERM");
    watching.end();
    let states = fs::read_dir(folder.path().join("divvy-data/alarms/state")).unwrap();
    let states: Vec<_> = states.map(|entry| entry.unwrap().path()).collect();
    let [path] = states.as_slice() else {
        panic!("{states:?}")
    };
    let mut state: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(state["unsent"], serde_json::json!([]));
    lost["id"] = "0123456789abcdef0123456789abcdef".into();
    state["unsent"] = serde_json::json!([lost]);
    fs::write(path, serde_json::to_vec(&state).unwrap()).unwrap();

    let mut watching = Watching::start(folder.path(), &server);
    // Those that waited at the end of the first run come before it.
    let printed: Vec<Value> = (0..6).map(|_| watching.next()).collect();
    assert!(printed.contains(&lost), "{printed:?}");
    let received = webhook.wait_for(|received| taken(received).contains(&id(&lost)));
    watching.signal("-TERM");
    watching.end();
    let times = taken(&received)
        .iter()
        .filter(|it| **it == id(&lost))
        .count();
    assert_eq!(times, 1);
}

#[cfg(unix)]
#[test]
fn a_program_gets_each_notice_until_it_succeeds() {
    use std::os::unix::fs::PermissionsExt;
    let server = FeedServer::start(0);
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("notify");
    // It fails at the first attempt for each notice.
    let text = "#!/bin/sh\ncat > \"stdin-$DIVVY_NOTICE_ID\"\necho printed\n\
                echo \"$1 $DIVVY_STATE $DIVVY_SUBJECT $DIVVY_RULE\" > \"env-$DIVVY_NOTICE_ID\"\n\
                [ -e \"again-$DIVVY_NOTICE_ID\" ] || { touch \"again-$DIVVY_NOTICE_ID\"; exit 3; }\n\
                echo \"$DIVVY_NOTICE_ID\" >> done\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let rules = "[[rule]]\nname = \"empty\"\nwhen = \"empty\"\nfor = \"0s\"\n\
                 [[target]]\nname = \"pager\"\nexec = [\"./notify\", \"--urgent ; $(x)\"]\n\
                 [[target]]\nname = \"out\"\nstdout = true\n";
    fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let mut watching = Watching::start(folder.path(), &server);
    let printed: Vec<Value> = (0..3).map(|_| watching.next()).collect();
    let done = folder.path().join("done");
    let ids = || fs::read_to_string(&done).unwrap_or_default();
    for _ in 0..600 {
        if ids().lines().count() >= 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    watching.signal("-TERM");
    let (rest, errors) = watching.end();
    // What the program prints is not among the data.
    assert!(rest.iter().all(|notice| notice["rule"] == "empty"));
    assert!(
        errors.contains("./notify ends with exit status: 3"),
        "{errors}"
    );
    let expected: Vec<String> = printed.iter().map(id).collect();
    let done: Vec<String> = ids().lines().map(str::to_owned).collect();
    assert_eq!(done[..3], expected);
    for notice in &printed {
        let read =
            |kind: &str| fs::read_to_string(folder.path().join(format!("{kind}-{}", id(notice))));
        let stdin: Value = serde_json::from_str(&read("stdin").unwrap()).unwrap();
        assert_eq!(&stdin, notice);
        let (state, subject) = (
            notice["state"].as_str().unwrap(),
            notice["subject"].as_str().unwrap(),
        );
        assert_eq!(
            read("env").unwrap(),
            format!("--urgent ; $(x) {state} {subject} empty\n")
        );
    }
}

#[cfg(unix)]
#[test]
fn a_feed_that_fails_is_down_and_a_restart_resumes() {
    let server = FeedServer::start(0);
    let folder = tempfile::tempdir().unwrap();
    let rules = "[[rule]]\nname = \"down\"\nwhen = \"feed_down\"\nafter = \"3s\"\n\
                 [[rule]]\nname = \"moved\"\nwhen = \"feed_moved\"\n\
                 [[rule]]\nname = \"lost\"\nwhen = \"empty\"\nstations = [\"Nowhere\"]\n\
                 [[target]]\nname = \"out\"\nstdout = true\n";
    fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let mut watching = Watching::start(folder.path(), &server);
    // The first snapshot has come when the second request of the states has.
    while server.requests() < 5 {
        std::thread::sleep(Duration::from_millis(20));
    }
    server.set(Behaviour::Silent);
    let down = watching.next();
    assert_eq!(
        (&down["rule"], &down["state"], &down["subject"]),
        (&"down".into(), &"raised".into(), &"feed".into())
    );
    watching.signal("-TERM");
    let (rest, errors) = watching.end();
    assert!(rest.is_empty());
    assert!(
        errors.contains("rule lost: no station has the id or the name \"Nowhere\""),
        "{errors}"
    );

    server.set(Behaviour::Works);
    let mut watching = Watching::start(folder.path(), &server);
    let up = watching.next();
    assert_eq!(
        (&up["rule"], &up["state"]),
        (&"down".into(), &"resolved".into())
    );
    assert_eq!(up["since"], down["since"]);
    watching.signal("-TERM");
    watching.end();
}

#[cfg(unix)]
#[test]
fn a_feed_that_never_worked_is_down() {
    let server = FeedServer::start(0);
    server.set(Behaviour::Silent);
    let folder = tempfile::tempdir().unwrap();
    let rules = "[[rule]]\nname = \"down\"\nsystem = \"divvy\"\nwhen = \"feed_down\"\nafter = \"2s\"\n\
                 [[target]]\nname = \"out\"\nstdout = true\n";
    fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let url = format!("divvy={}", server.url());
    let mut watching = Watching::start_at(folder.path(), &url);
    let down = watching.next();
    assert_eq!(
        (&down["system"], &down["state"]),
        (&"divvy".into(), &"raised".into())
    );
    watching.signal("-TERM");
    watching.end();
    // There is no store yet, and its folder has the alarms.
    server.set(Behaviour::Works);
    let mut watching = Watching::start_at(folder.path(), &url);
    let up = watching.next();
    assert_eq!(up["state"], "resolved");
    // The zone of the system is that of the first snapshot.
    let since = |notice: &Value| notice["since"].as_str().unwrap().parse::<Timestamp>();
    assert_eq!(since(&up).unwrap(), since(&down).unwrap());
    watching.signal("-TERM");
    watching.end();
}

#[cfg(unix)]
#[test]
fn metrics_have_the_notices() {
    let (server, webhook) = (FeedServer::start(0), WebhookServer::start());
    webhook.reply(&[], Reply::Status(500));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), rules(&webhook)).unwrap();
    let mut watching = Watching::start(folder.path(), &server);
    let mut errors = BufReader::new(watching.child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("metrics at http://").unwrap();
    let address = address.strip_suffix("/metrics").unwrap();
    watching.next();
    webhook.wait_for(|received| !received.is_empty());
    let metrics = crate::watch::get(address, "/metrics");
    watching.child.kill().unwrap();
    let value = |series: &str| -> u64 {
        let mut lines = metrics.lines();
        let line = lines.find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("{series}: {metrics}"))
            .trim()
            .parse()
            .unwrap()
    };
    assert!(value("divvy_notices_total{rule=\"empty\",state=\"raised\"}") >= 1);
    assert_eq!(
        value("divvy_notices_total{rule=\"empty\",state=\"event\"}"),
        0
    );
    assert!(value("divvy_notices_waiting{target=\"ops\"}") >= 1);
    value("divvy_notice_failures_total{target=\"ops\"}");
    assert_eq!(value("divvy_notice_failures_total{target=\"out\"}"), 0);
}

#[test]
fn mistakes_in_rules_are_refused_before_anything_is_polled() {
    let folder = tempfile::tempdir().unwrap();
    let refused_by = |store: &[&str], rules: &str| {
        fs::write(folder.path().join("rules.toml"), rules).unwrap();
        let mut command = divvy(folder.path());
        command.args(store).args([
            "watch",
            "--rules",
            "rules.toml",
            "--alarms",
            "alarms",
            "http://127.0.0.1:9/gbfs.json",
        ]);
        let output = command.env_remove("UNSET_SECRET").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let refused = |rules: &str| refused_by(&[], rules);
    let without_history = ["--store", "dynamodb-local:local.db"];
    let likely =
        "[[rule]]\nname = \"soon\"\nwhen = \"likely_empty\"\nwithin = \"30m\"\nprobability = 0.5";
    insta::assert_snapshot!(refused_by(&without_history, likely), @"divvy: rules.toml: rule soon needs forecasts, which only divvy watch on a store with a history of states has");
    let unset = "[[rule]]\nname = \"empty\"\nwhen = \"empty\"\n[[target]]\nname = \"ops\"\n\
                 webhook = \"https://h.example\"\nsecret_env = \"UNSET_SECRET\"";
    insta::assert_snapshot!(refused(unset), @r#"divvy: target ops: the environment variable UNSET_SECRET is not set, which has the secret for its signatures"#);
    insta::assert_snapshot!(refused("[[rule]]\nname = \"empty\"\nwhens = \"empty\""), @r#"divvy: rules.toml, line 3, column 1: unknown key `whens`, expected one of `name`, `system`, `when`, `stations`, `combine`, `for`, `within`, `probability`, `after`, `repeat`, `to`; did you mean `when`?"#);
}
