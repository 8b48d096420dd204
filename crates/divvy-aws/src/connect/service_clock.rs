//! The time by the clock of the service, which is the same for all processes: their own clocks may be hours
//! apart, and what one has written with its time another compares with its own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::{SignedDuration, Timestamp};

/// A difference of two clocks that is none: the service states whole seconds, and a response takes some time.
const PRECISION: SignedDuration = SignedDuration::from_secs(2);

/// The clock of this machine, corrected by the time that the service states with each response. Until the first
/// response, and where responses state none, it is the clock of this machine.
#[derive(Clone)]
pub struct ServiceClock {
    local: fn() -> Timestamp,
    /// How far the clock of the service is ahead, in milliseconds.
    ahead_ms: Arc<AtomicI64>,
}

impl fmt::Debug for ServiceClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ServiceClock({} ms ahead)",
            self.ahead_ms.load(Ordering::Relaxed)
        )
    }
}

impl ServiceClock {
    /// Makes a clock. `local` returns the time by the clock of this machine.
    pub(super) fn new(local: fn() -> Timestamp) -> Self {
        Self {
            local,
            ahead_ms: Arc::default(),
        }
    }

    /// Returns the time by the clock of the service.
    pub fn now(&self) -> Timestamp {
        self.of_local((self.local)())
    }

    /// Converts a time by the clock of this machine.
    pub fn of_local(&self, time: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed));
        time.saturating_add(ahead).unwrap_or(time)
    }

    /// Compares the clocks. `date` is the header of a response, such as `Tue, 24 Nov 2026 00:00:00 GMT`.
    fn compare(&self, date: &str) {
        let Ok(service) = jiff::fmt::rfc2822::parse(date) else {
            return;
        };
        let ahead = service.timestamp().duration_since((self.local)());
        let ahead_ms = if ahead.abs() < PRECISION {
            0
        } else {
            ahead.as_millis() as i64
        };
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }
}

impl Intercept for ServiceClock {
    fn name(&self) -> &'static str {
        "service clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.compare(date);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_service_once_it_is_stated() {
        fn local() -> Timestamp {
            "2026-11-24T12:00:00.5Z".parse().unwrap()
        }
        let clock = ServiceClock::new(local);
        assert_eq!(clock.now(), local());
        for (date, time) in [
            ("Tue, 24 Nov 2026 13:00:00 GMT", "2026-11-24T13:00:00Z"),
            ("not a date", "2026-11-24T13:00:00Z"),
            ("Tue, 24 Nov 2026 10:59:59 GMT", "2026-11-24T10:59:59Z"),
            ("Tue, 24 Nov 2026 12:00:02 GMT", "2026-11-24T12:00:00.5Z"),
        ] {
            clock.compare(date);
            assert_eq!(clock.now().to_string(), time, "{date}");
        }
    }
}
