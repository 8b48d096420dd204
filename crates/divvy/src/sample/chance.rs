//! Chance that can be repeated: the same seed draws the same things on every machine.
//!
//! Nothing here (and nothing that feeds it) calls `exp` or `sin`, whose last digits differ from
//! one platform to the next.

/// Scrambles a number so that neighbours have nothing in common. No two numbers give the same.
///
/// The finisher of splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014.
pub(super) fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A stream of random numbers (splitmix64).
pub(super) struct Chance(u64);

impl Chance {
    /// Begins the stream that belongs to `subject`, a trip's or a station's number; streams of
    /// different subjects are independent.
    pub(super) fn of(seed: u64, subject: u64) -> Self {
        Self(mix(seed ^ mix(subject.wrapping_add(0x5851_f42d_4c95_7f2d))))
    }

    /// Draws 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Draws from 0 to 1, without 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws a whole number below `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Draws a whole number from a range.
    pub(super) fn between(&mut self, from: i64, until: i64) -> i64 {
        from + self.below((until - from) as u64) as i64
    }

    /// Tells whether something of that probability happens.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Draws from a bell around 0 with standard deviation 1 that ends at ±3.5: the sum of four
    /// even draws.
    pub(super) fn bell(&mut self) -> f64 {
        const MEAN: f64 = 2.0 * 65_535.0;
        const DEVIATION: f64 = 37_837.2; // 65536 / sqrt(3)
        let bits = self.bits();
        let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xffff).sum();
        (sum as f64 - MEAN) / DEVIATION
    }
}

/// A drum of lots: whoever weighs more has more of them.
pub(super) struct Drum(Vec<u16>);

impl Drum {
    /// Fills a drum with so many lots, each place of `weights` as often as it weighs. Who weighs
    /// less than a lot may have none.
    pub(super) fn new(lots: usize, weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let mut drum = Vec::with_capacity(lots);
        let mut reached = 0.0;
        for (place, weight) in weights.iter().enumerate() {
            reached += weight / total;
            drum.resize((reached * lots as f64).round() as usize, place as u16);
        }
        Self(drum)
    }

    /// Draws a lot.
    pub(super) fn draw(&self, chance: &mut Chance) -> usize {
        let lot = chance.below(self.0.len() as u64);
        usize::from(self.0[lot as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drum_draws_by_weight() {
        let drum = Drum::new(1000, &[1.0, 0.0, 3.0]);
        let mut chance = Chance::of(7, 0);
        let mut drawn = [0; 3];
        for _ in 0..40_000 {
            drawn[drum.draw(&mut chance)] += 1;
        }
        assert!((9_600..10_400).contains(&drawn[0]), "{drawn:?}");
        assert!(drawn[1] == 0, "{drawn:?}");
    }

    #[test]
    fn a_bell_has_its_mean_and_deviation() {
        let mut chance = Chance::of(7, 1);
        let draws: Vec<f64> = (0..40_000).map(|_| chance.bell()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }
}
