//! The number of bikes at a station as a birth–death chain: an arrival adds one where a dock is free, a
//! departure takes one where there is one.
//!
//! The rates change with time, so that there is no closed form: the equations are integrated by Euler's
//! method in steps of a minute or less, for all horizons in one pass.

/// The largest probability of leaving a state in one step.
const MAX_STEP: f64 = 0.5;

/// Departures and arrivals a minute, where nothing hinders them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowRates {
    /// Departures a minute.
    pub departures: f64,
    /// Arrivals a minute.
    pub arrivals: f64,
}

/// What the chain says of a station at one horizon.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The probability of each number of bikes, from 0.
    pub bikes: Vec<f64>,
    /// The probability that there is no bike in at least one minute until the horizon.
    pub empty_within: f64,
    /// The probability that there is no free dock in at least one minute until the horizon.
    pub full_within: f64,
}

impl Outlook {
    /// Returns the probability that there is no bike.
    pub fn empty(&self) -> f64 {
        self.bikes.first().copied().unwrap_or(1.0)
    }

    /// Returns the probability that there is no free dock.
    pub fn full(&self) -> f64 {
        self.bikes.last().copied().unwrap_or(1.0)
    }

    /// Returns the probability that there are `k` bikes or more.
    pub fn at_least(&self, k: usize) -> f64 {
        self.bikes.iter().skip(k).sum()
    }

    /// Returns the mean of the distribution.
    pub fn expected(&self) -> f64 {
        let bikes = self.bikes.iter().enumerate();
        bikes
            .map(|(bikes, probability)| bikes as f64 * probability)
            .sum()
    }

    /// Returns the probability of an event.
    pub fn probability(&self, event: super::Event) -> f64 {
        match event {
            super::Event::EmptyAt => self.empty(),
            super::Event::EmptyWithin => self.empty_within,
            super::Event::FullAt => self.full(),
            super::Event::FullWithin => self.full_within,
        }
    }
}

/// The chain of one station.
#[derive(Clone, Debug)]
pub struct Chain {
    free: Vec<f64>,
    /// The same chain, where a state without bikes is never left.
    stays_empty: Vec<f64>,
    /// The same chain, where a state without free docks is never left.
    stays_full: Vec<f64>,
    next: Vec<f64>,
}

impl Chain {
    /// Begins with `bikes` of at most `places`, which is the number of bikes and free docks now.
    pub fn new(bikes: usize, places: usize) -> Self {
        let mut start = vec![0.0; places + 1];
        start[bikes.min(places)] = 1.0;
        Self {
            free: start.clone(),
            stays_empty: start.clone(),
            stays_full: start.clone(),
            next: start,
        }
    }

    /// Goes one minute forward.
    pub fn minute(&mut self, rates: FlowRates) {
        let mut steps = 1_u32;
        while (rates.departures + rates.arrivals) / f64::from(steps) > MAX_STEP {
            steps *= 2;
        }
        let up = rates.arrivals / f64::from(steps);
        let down = rates.departures / f64::from(steps);
        for _ in 0..steps {
            step(&mut self.free, &mut self.next, up, down, false, false);
            step(&mut self.stays_empty, &mut self.next, up, down, true, false);
            step(&mut self.stays_full, &mut self.next, up, down, false, true);
        }
    }

    /// Returns the distribution after the last minute.
    pub fn outlook(&self) -> Outlook {
        Outlook {
            empty_within: self.stays_empty[0],
            full_within: self.stays_full[self.stays_full.len() - 1],
            bikes: self.free.clone(),
        }
    }

    /// Returns the probability of an event after the last minute.
    pub(super) fn probability(&self, event: super::Event) -> f64 {
        let last = self.free.len() - 1;
        match event {
            super::Event::EmptyAt => self.free[0],
            super::Event::EmptyWithin => self.stays_empty[0],
            super::Event::FullAt => self.free[last],
            super::Event::FullWithin => self.stays_full[last],
        }
    }
}

/// One step of Euler's method. `up` and `down` are the probabilities of one more and one fewer; a
/// state that `holds` is not left.
fn step(
    states: &mut Vec<f64>,
    next: &mut Vec<f64>,
    up: f64,
    down: f64,
    empty_holds: bool,
    full_holds: bool,
) {
    let last = states.len() - 1;
    if last == 0 {
        return;
    }
    let stay = 1.0 - up - down;
    for bikes in 1..last {
        next[bikes] = stay * states[bikes] + up * states[bikes - 1] + down * states[bikes + 1];
    }
    next[0] = (1.0 - up) * states[0] + down * states[1];
    next[last] = (1.0 - down) * states[last] + up * states[last - 1];
    if empty_holds {
        next[0] += up * states[0];
        next[1] -= up * states[0];
    }
    if full_holds {
        next[last] += down * states[last];
        next[last - 1] -= down * states[last];
    }
    std::mem::swap(states, next);
}
