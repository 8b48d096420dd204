//! Faults that can be repeated: the same seed and the same requests meet the same ones.

/// How often each fault strikes: probabilities from 0 to 1, drawn for every request for data.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Which draws: another seed strikes other requests.
    pub seed: u64,
    /// HTTP 500, and nothing is done. Reads of a stream meet it too.
    pub internal_error: f64,
    /// A throttle that no bucket has a part in.
    pub throttle: f64,
    /// Nothing is done and no answer comes: the client must give up by itself.
    pub timeout: f64,
    /// The work is done, and the answer is lost with the connection.
    pub dropped_reply: f64,
    /// A part of a batch comes back unprocessed. A batch of one is left alone.
    pub partial_batch: f64,
}

/// How often each fault struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Requests answered with HTTP 500.
    pub internal_errors: u64,
    /// Requests throttled for no reason.
    pub throttles: u64,
    /// Requests that had no answer.
    pub timeouts: u64,
    /// Requests that were done and whose answer was lost.
    pub dropped_replies: u64,
    /// Batches of which a part was set aside.
    pub partial_batches: u64,
}

/// What strikes one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) internal_error: bool,
    pub(super) throttle: bool,
    pub(super) timeout: bool,
    pub(super) dropped_reply: bool,
    /// Decides which part of a batch is set aside.
    pub(super) partial_batch: Option<u64>,
}

/// Draws faults.
#[derive(Debug)]
pub(super) struct Injector {
    faults: Faults,
    state: u64,
}

impl Injector {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            faults,
            state: mix(faults.seed),
        }
    }

    /// Draws for the next request. A request always draws as often, so that one kind of fault
    /// can be switched off without moving the others.
    pub(super) fn strike(&mut self) -> Strike {
        let faults = self.faults;
        let mut happens = |probability| self.unit() < probability;
        let (internal_error, throttle) = (happens(faults.internal_error), happens(faults.throttle));
        let (timeout, dropped_reply) = (happens(faults.timeout), happens(faults.dropped_reply));
        let partial_batch = happens(faults.partial_batch);
        let which = self.bits();
        Strike {
            internal_error,
            throttle,
            timeout,
            dropped_reply,
            partial_batch: partial_batch.then_some(which),
        }
    }

    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Tells of each of `n` parts whether it is set aside: at least one is, and at least one is not.
pub(super) fn set_aside(which: u64, n: usize) -> Vec<bool> {
    let mut aside: Vec<bool> = (0..n as u64)
        .map(|part| mix(which ^ part) & 1 == 1)
        .collect();
    if n > 1 && aside.iter().all(|&set| set == aside[0]) {
        aside[which as usize % n] ^= true;
    }
    aside
}

/// Scrambles a number so that neighbours have nothing in common.
///
/// The finisher of splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014.
fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(faults: Faults) -> Vec<Strike> {
        let mut injector = Injector::new(faults);
        (0..2_000).map(|_| injector.strike()).collect()
    }

    #[test]
    fn a_seed_strikes_the_same_requests() {
        let faults = Faults {
            seed: 7,
            internal_error: 0.1,
            timeout: 0.01,
            partial_batch: 0.2,
            ..Faults::default()
        };
        assert_eq!(strikes(faults), strikes(faults));
        assert_ne!(strikes(faults), strikes(Faults { seed: 8, ..faults }));
        let struck = strikes(faults).iter().filter(|s| s.internal_error).count();
        assert!((150..250).contains(&struck), "{struck}");
    }

    #[test]
    fn switching_one_fault_off_moves_no_other() {
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
            strikes(faults)
                .iter()
                .map(|strike| strike.dropped_reply)
                .collect()
        };
        assert_eq!(dropped(both), dropped(one));
    }

    #[test]
    fn a_part_of_a_batch_is_neither_none_nor_all() {
        for which in 0..200 {
            for n in 2..8 {
                let aside = set_aside(which, n);
                assert!(
                    aside.contains(&true) && aside.contains(&false),
                    "{which} {n}"
                );
            }
        }
    }
}
