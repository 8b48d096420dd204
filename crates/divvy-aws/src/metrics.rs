//! One log line an invocation, from which CloudWatch takes metrics by itself: its embedded metric
//! format (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Under which the metrics are found.
pub const NAMESPACE: &str = "DivvyAnalyze";

/// A number that CloudWatch keeps. Ten are free, each further one costs more than the Lambda
/// that sends it: what nobody watches is a plain field of the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    name: &'static str,
    value: Value,
    unit: &'static str,
}

impl Metric {
    /// Makes one of a number of things.
    pub fn count(name: &'static str, value: u64) -> Self {
        Self {
            name,
            value: value.into(),
            unit: "Count",
        }
    }

    /// Makes one of another unit of CloudWatch's.
    pub fn of(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            name,
            value: json!(value),
            unit,
        }
    }
}

/// Makes the line of an invocation. `more` is an object with its plain fields.
pub fn line(function: &str, at: Timestamp, metrics: &[Metric], more: Value) -> String {
    let directives: Vec<Value> = metrics
        .iter()
        .map(|metric| json!({"Name": metric.name, "Unit": metric.unit}))
        .collect();
    let mut line = Map::new();
    line.insert(
        "_aws".into(),
        json!({
            "Timestamp": at.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["function"]],
                "Metrics": directives,
            }],
        }),
    );
    line.insert("function".into(), function.into());
    for metric in metrics {
        line.insert(metric.name.into(), metric.value.clone());
    }
    if let Value::Object(more) = more {
        line.extend(more);
    }
    Value::Object(line).to_string()
}
