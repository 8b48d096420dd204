//! The number of bikes at a station as a birth–death chain: an arrival adds one where a dock is free, a
//! departure takes one where there is one.
//!
//! The rates change with time, so that there is no closed form: the equations are integrated by the
//! Taylor series of second order in steps of a minute or less, for all horizons in one pass.

/// The largest sum of departures and arrivals expected in one step. The probabilities differ by less
/// than one point from the exact ones.
const MAX_STEP: f64 = 0.25;

/// Departures and arrivals a minute at a station neither empty nor full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowRates {
    /// Departures a minute.
    pub departures: f64,
    /// Arrivals a minute.
    pub arrivals: f64,
}

/// The distribution at one horizon.
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
    derivative: Vec<f64>,
    second: Vec<f64>,
}

/// A state that is never left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absorbing {
    Neither,
    Empty,
    Full,
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
            derivative: start.clone(),
            second: start,
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
        let chains = [
            (&mut self.free, Absorbing::Neither),
            (&mut self.stays_empty, Absorbing::Empty),
            (&mut self.stays_full, Absorbing::Full),
        ];
        for (states, absorbing) in chains {
            for _ in 0..steps {
                let (first, second) = (&mut self.derivative, &mut self.second);
                derive(states, first, up, down, absorbing);
                derive(first, second, up, down, absorbing);
                for ((state, first), second) in states.iter_mut().zip(first).zip(second) {
                    *state += *first + *second / 2.0;
                }
            }
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
}

/// Writes the derivative of the distribution `states`, where one more and one fewer happen at the rates
/// `up` and `down`.
fn derive(states: &[f64], derivative: &mut [f64], up: f64, down: f64, absorbing: Absorbing) {
    let last = states.len() - 1;
    if last == 0 {
        derivative[0] = 0.0;
        return;
    }
    for bikes in 1..last {
        derivative[bikes] =
            up * states[bikes - 1] + down * states[bikes + 1] - (up + down) * states[bikes];
    }
    derivative[0] = down * states[1] - up * states[0];
    derivative[last] = up * states[last - 1] - down * states[last];
    match absorbing {
        Absorbing::Neither => {}
        Absorbing::Empty => {
            derivative[0] += up * states[0];
            derivative[1] -= up * states[0];
        }
        Absorbing::Full => {
            derivative[last] += down * states[last];
            derivative[last - 1] -= down * states[last];
        }
    }
}
