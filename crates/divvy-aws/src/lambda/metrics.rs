//! Log lines in CloudWatch's embedded metric format, from which it extracts metrics:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The namespace of the metrics.
pub const NAMESPACE: &str = "DivvyAnalyze";

/// A metric that CloudWatch keeps. Ten are free, and each further one costs more than the Lambda:
/// numbers without an alarm are plain fields of the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    name: &'static str,
    value: Value,
    unit: &'static str,
}

impl Metric {
    /// Makes a metric of the unit `Count`.
    pub fn count(name: &'static str, value: u64) -> Self {
        Self {
            name,
            value: value.into(),
            unit: "Count",
        }
    }

    /// Makes a metric of another unit of CloudWatch.
    pub fn of(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            name,
            value: json!(value),
            unit,
        }
    }
}

/// What a metric is of: its dimensions in CloudWatch, all together. Each further set of dimensions would be
/// paid for as further metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dimensions {
    /// The system, as the stack names it.
    pub system: String,
    /// The prefix of the tables.
    pub prefix: String,
    /// The name of the function.
    pub function: String,
}

/// Makes the log line of an invocation. `more` is an object with the plain fields.
pub fn line(of: &Dimensions, at: Timestamp, metrics: &[Metric], more: Value) -> String {
    // CloudWatch has no empty values.
    let value = |text: &str| Value::from(if text.is_empty() { "-" } else { text });
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
                "Dimensions": [["system", "prefix", "function"]],
                "Metrics": directives,
            }],
        }),
    );
    line.insert("system".into(), value(&of.system));
    line.insert("prefix".into(), value(&of.prefix));
    line.insert("function".into(), value(&of.function));
    for metric in metrics {
        line.insert(metric.name.into(), metric.value.clone());
    }
    if let Value::Object(more) = more {
        line.extend(more);
    }
    Value::Object(line).to_string()
}
