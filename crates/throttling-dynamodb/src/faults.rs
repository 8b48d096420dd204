//! Injected faults. The same seed and the same requests give the same faults.

use std::time::Duration;

/// The probabilities of the faults, from 0 to 1, drawn for every request for data.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// The seed of the random numbers: another one selects other requests.
    pub seed: u64,
    /// HTTP 500, and the request is not executed. Applies to reads of a stream too.
    pub internal_error: f64,
    /// A throttle although there is capacity.
    pub throttle: f64,
    /// The request is not executed, and no response is sent, so that the client times out.
    pub timeout: f64,
    /// The request is executed, and the connection ends without a response: half of them by a reset, the
    /// others by a close.
    pub dropped_reply: f64,
    /// The request is executed, and no response is sent although the connection stays open (half-open), so that the
    /// client times out.
    pub unanswered: f64,
    /// The request is executed, and the response is slow: half of them arrive as a whole after up to a minute, the
    /// others byte by byte.
    pub slow_reply: f64,
    /// Some items of a batch are returned unprocessed. Batches of one item are excluded.
    pub partial_batch: f64,
}

/// The number of injections of each fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Requests with the response HTTP 500.
    pub internal_errors: u64,
    /// Requests throttled although there was capacity.
    pub throttles: u64,
    /// Requests without a response.
    pub timeouts: u64,
    /// Requests that were executed, and whose response was lost.
    pub dropped_replies: u64,
    /// Requests that were executed, and got no response on a connection that stayed open.
    pub unanswered: u64,
    /// Requests whose response was slow.
    pub slow_replies: u64,
    /// Batches of which some items were returned unprocessed.
    pub partial_batches: u64,
}

/// The faults of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DrawnFaults {
    pub(crate) internal_error: bool,
    pub(crate) throttle: bool,
    pub(crate) timeout: bool,
    pub(crate) dropped_reply: bool,
    /// A connection that ends without a response is closed (FIN), not reset.
    pub(crate) closes: bool,
    pub(crate) unanswered: bool,
    /// How slowly the response arrives. `None`: at once.
    pub(crate) slow_reply: Option<Slowness>,
    /// The random number that selects the unprocessed items of a batch. `None`: no such fault.
    pub(crate) partial_batch: Option<u64>,
}

/// How a slow response arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slowness {
    /// As a whole, after a time.
    Late(Duration),
    /// A byte at a time, with a pause before each.
    Trickling(Duration),
}

impl Slowness {
    /// The longest time until a late response.
    const MAX_LATE_S: u64 = 60;
    /// The pause before each byte. The responses to large requests take longer than any client waits.
    const PAUSE: Duration = Duration::from_millis(10);

    fn of(random: u64) -> Self {
        if random & 1 == 0 {
            Self::Late(Duration::from_secs(1 + (random >> 1) % Self::MAX_LATE_S))
        } else {
            Self::Trickling(Self::PAUSE)
        }
    }
}

/// A generator of faults.
#[derive(Debug)]
pub(crate) struct Injector {
    faults: Faults,
    state: u64,
}

impl Injector {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            faults,
            state: mix(faults.seed),
        }
    }

    /// Draws the faults of the next request. The count of random numbers is always the same, so
    /// that switching one fault off leaves the others where they are.
    pub(crate) fn draw(&mut self) -> DrawnFaults {
        let faults = self.faults;
        let mut happens = |probability| self.unit() < probability;
        let (internal_error, throttle) = (happens(faults.internal_error), happens(faults.throttle));
        let (timeout, dropped_reply) = (happens(faults.timeout), happens(faults.dropped_reply));
        let partial_batch = happens(faults.partial_batch);
        let selection = self.bits();
        // Of the same random number, so that a seed selects the same requests for the faults above as it did before
        // there were these.
        let more = |n: u64| mix(selection ^ mix(n));
        let (unanswered, slow_reply) = (
            unit(more(1)) < faults.unanswered,
            unit(more(2)) < faults.slow_reply,
        );
        DrawnFaults {
            internal_error,
            throttle,
            timeout,
            dropped_reply,
            closes: selection & 1 == 1,
            unanswered,
            slow_reply: slow_reply.then(|| Slowness::of(more(3))),
            partial_batch: partial_batch.then_some(selection),
        }
    }

    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    fn unit(&mut self) -> f64 {
        unit(self.bits())
    }
}

/// Maps random bits to a number from 0 to 1, 1 excluded.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns for each of `n` items whether it is left unprocessed. Of two or more items at least one
/// is, and at least one is not.
pub(crate) fn select_unprocessed(selection: u64, n: usize) -> Vec<bool> {
    let mut unprocessed: Vec<bool> = (0..n as u64)
        .map(|item| mix(selection ^ item) & 1 == 1)
        .collect();
    if n > 1 && unprocessed.iter().all(|&one| one == unprocessed[0]) {
        unprocessed[selection as usize % n] ^= true;
    }
    unprocessed
}

/// Mixes the bits of a number, so that consecutive numbers give unrelated results.
///
/// The finalizer of splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014.
fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(faults: Faults) -> Vec<DrawnFaults> {
        let mut injector = Injector::new(faults);
        (0..2_000).map(|_| injector.draw()).collect()
    }

    #[test]
    fn a_seed_selects_the_same_requests() {
        let faults = Faults {
            seed: 7,
            internal_error: 0.1,
            timeout: 0.01,
            partial_batch: 0.2,
            ..Faults::default()
        };
        assert_eq!(drawn(faults), drawn(faults));
        assert_ne!(drawn(faults), drawn(Faults { seed: 8, ..faults }));
        let injected = drawn(faults).iter().filter(|s| s.internal_error).count();
        assert!((150..250).contains(&injected), "{injected}");
    }

    #[test]
    fn switching_one_fault_off_changes_no_other() {
        let both = Faults {
            seed: 7,
            internal_error: 0.1,
            dropped_reply: 0.1,
            ..Faults::default()
        };
        let one = Faults {
            internal_error: 0.0,
            ..both
        };
        let dropped = |faults| -> Vec<bool> {
            drawn(faults)
                .iter()
                .map(|faults| faults.dropped_reply)
                .collect()
        };
        assert_eq!(dropped(both), dropped(one));
    }

    #[test]
    fn neither_no_item_nor_every_item_is_unprocessed() {
        for selection in 0..200 {
            for n in 2..8 {
                let unprocessed = select_unprocessed(selection, n);
                assert!(
                    unprocessed.contains(&true) && unprocessed.contains(&false),
                    "{selection} {n}"
                );
            }
        }
    }
}
