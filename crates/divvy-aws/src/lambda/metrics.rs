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

/// Makes the log line of an invocation. `more` is an object with the plain fields.
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
