//! Mistakes in files of rules, with their positions.

use crate::alarms::{Rules, describe_rule, describe_target};

#[test]
fn mistakes_are_named_with_their_positions() {
    let rule = |rest: &str| format!("[[rule]]\nname = \"a\"\n{rest}");
    let target = |rest: &str| {
        format!(
            "[[target]]\nname = \"ops\"\n{rest}\n{}",
            rule("when = \"empty\"")
        )
    };
    let texts = [
        String::new(),
        "[[rule]]\nname = \"a\"".into(),
        "[[rule]]\nname = 5\nwhen = \"empty\"".into(),
        "[[rule]]\nname = \"a\"\nwhen = ".into(),
        "[[rules]]\nname = \"a\"".into(),
        rule("when = \"empties\""),
        rule("when = \"empty\"\nstation = [\"a\"]"),
        rule("when = \"empty\"\nstations = []"),
        rule("when = \"empty\"\ncombine = \"al\""),
        rule("when = \"empty\"\nfor = \"5 lustra\""),
        rule("when = \"empty\"\nfor = 5"),
        rule("when = \"empty\"\nwithin = \"30m\""),
        rule("when = \"empty\"\nto = [\"ops\"]"),
        rule("when = \"empty\"\nrepeat = \"1s\""),
        rule("when = \"likely_full\"\nprobability = 0.5"),
        rule("when = \"likely_full\"\nwithin = \"30m\"\nprobability = 50.0"),
        rule("when = \"likely_full\"\nwithin = \"2d\"\nprobability = 0.5"),
        rule("when = \"feed_stale\"\nfor = \"5m\""),
        rule("when = \"feed_down\"\nafter = \"0s\""),
        rule("when = \"feed_down\"\nstations = [\"a\"]"),
        rule("when = \"feed_moved\"\nrepeat = \"1h\""),
        rule("when = \"empty\"\n[[rule]]\nname = \"a\"\nwhen = \"full\""),
        target(""),
        target("stdout = true\nexec = [\"a\"]"),
        target("stdout = false"),
        target("exec = []"),
        target("webhook = \"hooks.example\""),
        target("exec = [\"a\"]\nsecret_env = \"A\""),
        target("web_hook = \"https://h.example\""),
        "[[target]]\nname = \"../ops\"\nstdout = true".into(),
    ];
    let mistakes = texts.map(|text| Rules::parse(&text).unwrap_err().to_string());
    insta::assert_snapshot!(mistakes.join("\n"), @r#"
    line 1, column 1: there is no rule in this file: expected [[rule]]
    line 1, column 1: missing key `when`
    line 2, column 8: invalid type: integer `5`, expected a string
    line 3, column 8: string values must be quoted, expected literal string
    line 1, column 3: unknown key `rules`, expected one of `rule`, `group`, `target`; did you mean `rule`?
    line 3, column 8: there is no condition "empties": expected one of empty, full, likely_empty, likely_full, feed_stale, feed_down, feed_moved, stations_changed; did you mean "empty"?
    line 4, column 1: unknown key `station`, expected one of `name`, `system`, `when`, `stations`, `combine`, `for`, `within`, `probability`, `after`, `repeat`, `to`; did you mean `stations`?
    line 4, column 12: an empty list: expected at least one text
    line 4, column 11: there is no way to combine "al": expected one of each, any, all; did you mean "all"?
    line 4, column 7: "5 lustra" is no length of time up to 31 days: expected whole seconds, such as 90s, 5m, 2h30m or 1d
    line 4, column 7: invalid type: integer `5`, expected a string
    line 4, column 10: within is for rules with when = "likely_empty" or "likely_full"
    line 4, column 7: there is no target "ops": the file has none
    line 4, column 10: reminders less than a minute apart: expected at least 1m
    line 3, column 8: missing key `within`: in what time, such as within = "30m"
    line 5, column 15: 50 is no probability: expected more than 0 and at most 1
    line 4, column 10: longer than a day: forecasts are made for 24 hours at most
    line 4, column 7: a rule with when = "feed_stale" has after instead of for
    line 4, column 9: 0 is too short: expected at least 1s
    line 4, column 12: a rule with when = "feed_down" has no stations
    line 4, column 10: an event has no end, and so no reminders: expected no repeat
    line 5, column 8: another rule has the name "a": expected another name
    line 2, column 8: a target without a way to send: expected one of stdout = true, exec = ["program", …] and webhook = "https://…"
    line 2, column 8: a target with several ways to send: expected one of stdout = true, exec = ["program", …] and webhook = "https://…"
    line 3, column 10: stdout = false sends nothing: expected one of stdout = true, exec = ["program", …] and webhook = "https://…"
    line 3, column 8: a command without a program: expected ["program", "argument", …]
    line 3, column 11: not a web address: expected http://… or https://…
    line 4, column 14: secret_env is for webhooks
    line 3, column 1: unknown key `web_hook`, expected one of `name`, `stdout`, `exec`, `webhook`, `secret_env`; did you mean `webhook`?
    line 2, column 8: "../ops" is no name of a target: expected up to 64 letters, digits, - and _
    "#);
}

#[test]
fn rules_and_targets_are_described() {
    let rules = Rules::parse(super::laws_rules()).unwrap();
    let text = r#"
[[target]]
name = "ops"
webhook = "https://user:pass@hooks.example:8443/services/T0/secret?key=1"
secret_env = "DIVVY_WEBHOOK_SECRET"

[[target]]
name = "pager"
exec = ["notify", "--urgent"]

[[target]]
name = "log"
stdout = true

[[rule]]
name = "loop-empty"
system = "divvy"
when = "empty"
stations = ["Clark St & Elm St", "13022"]
repeat = "1h"
to = ["ops", "log"]

[[rule]]
name = "soon"
when = "likely_full"
within = "30m"
probability = 0.5
combine = "any"
"#;
    let more = Rules::parse(text).unwrap();
    let mut lines = Vec::new();
    for rules in [&rules, &more] {
        lines.extend(
            rules
                .rules
                .iter()
                .map(|rule| format!("{} {}", rule.name, describe_rule(rule, rules))),
        );
        lines.extend(
            rules
                .targets
                .iter()
                .map(|it| format!("{}: {}", it.name, describe_target(it))),
        );
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    empty notifies no target when a station of any system is empty for 4 minutes, and when that is over
    at-once notifies no target when a station of any system is empty, again every 3 minutes, and when that is over
    full notifies no target when one of the 2 named stations of any system is full for 2 minutes, and when that is over
    any notifies no target when at least one station of any system is empty for 3 minutes, and when that is over
    all notifies no target when all of the 2 named stations of any system that are in service are empty, and when that is over
    likely notifies no target when a station of any system is likely to be empty within 30 minutes with a probability of 50 % or more for 5 minutes, and when that is over
    any-likely notifies no target when at least one station of any system is likely to be empty within 30 minutes with a probability of 50 % or more for 2 minutes, and when that is over
    down notifies no target when polls of the feed of any system have failed for 3 minutes, and when that is over
    stale notifies no target when the newest states of the feed of any system are 6 minutes old, again every 5 minutes, and when that is over
    moved notifies no target when the discovery file of any system names another address of a feed
    list notifies no target when the list of any system has other stations for 2 minutes
    loop-empty notifies ops, log when one of the 2 named stations of divvy is empty for 5 minutes, again every 1 h, and when that is over
    soon notifies ops, pager, log when at least one station of any system is likely to be full within 30 minutes with a probability of 50 % or more for 5 minutes, and when that is over
    ops: POST requests to https://hooks.example:8443, signed with the secret in DIVVY_WEBHOOK_SECRET
    pager: the program notify, started for each notice
    log: a line of JSON on stdout
    "#);
}
