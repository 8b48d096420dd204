//! The Lambda functions: their settings, their handlers, and their log lines.

pub mod failure;
mod in_process;
pub mod invocation_log;
pub mod metrics;
pub mod scheduled_poll;
pub mod scheduled_refresh;
pub mod settings;
pub mod station_stream;
