//! Counters of alarms.

use std::fmt::Write;

use divvy::alarms::NoticeState;

use super::Alarms;
use crate::cmd::notices::Delivery;
use crate::cmd::watch::lock::lock;
use crate::cmd::watch::metrics::label;

impl Alarms {
    /// Writes the counters, in the text format of Prometheus.
    pub fn write_metrics(&self, out: &mut String) {
        let head =
            "# HELP divvy_notices_total Notices of alarms.\n# TYPE divvy_notices_total counter\n";
        out.push_str(head);
        let counts = lock(&self.counts);
        for rule in &self.rules.rules {
            for state in NoticeState::ALL {
                let count = counts
                    .get(&(rule.name.clone(), state))
                    .copied()
                    .unwrap_or(0);
                let label = label(&rule.name);
                let state = state.as_str();
                let _ = writeln!(
                    out,
                    "divvy_notices_total{{rule=\"{label}\",state=\"{state}\"}} {count}"
                );
            }
        }
        drop(counts);
        let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Delivery) -> u64| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for delivery in &self.deliveries {
                let target = &delivery.target;
                let _ = writeln!(out, "{name}{{target=\"{target}\"}} {}", value(delivery));
            }
        };
        family(
            "divvy_notices_waiting",
            "gauge",
            "Notices that wait for a target.",
            &|it| it.outbox.len() as u64,
        );
        family(
            "divvy_notice_failures_total",
            "counter",
            "Attempts to send a notice that failed.",
            &Delivery::failures,
        );
    }
}
