//! Reports of stalls: tables whose requests make no progress.

use std::future::Future;
use std::time::Duration;

use super::{DynamoStore, Shared};

/// The time between two looks at the requests of the tables.
const EVERY: Duration = Duration::from_secs(5);

impl Shared {
    /// Does some work. Where no request to a table succeeds for a minute meanwhile, the listener gets a
    /// sentence with the reasons, again after each further five minutes, and when it goes on.
    pub(in crate::store) async fn reporting_stalls<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut looks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    self.report_stalls();
                    return done;
                }
                _ = looks.tick() => self.report_stalls(),
            }
        }
    }

    fn report_stalls(&self) {
        let tables = [
            &self.stations,
            &self.trips,
            &self.counts,
            &self.ledger.table,
        ];
        let reports = tables.iter().filter_map(|table| table.stall_report());
        reports.for_each(|report| self.listener.note(&report));
    }
}

impl DynamoStore {
    /// Does some work with the store. Where no request to a table succeeds for a minute meanwhile, the
    /// [`Listener`](super::Listener) gets a sentence with the reasons, again after each further five minutes,
    /// and when requests succeed again. Loads and unloads do this by themselves.
    pub async fn reporting_stalls<T>(&self, work: impl Future<Output = T>) -> T {
        self.shared.reporting_stalls(work).await
    }
}
