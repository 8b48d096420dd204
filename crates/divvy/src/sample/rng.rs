//! Random numbers that are the same for the same seed on every machine.
//!
//! This module and the generator of samples do not use `exp` or `sin`, whose last digits differ between
//! platforms.

/// Hashes a number. Different numbers have different hashes.
///
/// The last step of splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014.
pub(crate) fn mix(mut n: u64) -> u64 {
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A stream of random numbers (splitmix64).
pub(crate) struct Rng(u64);

impl Rng {
    /// Begins the stream of a subject, such as a trip, a station or a period, by its number. Streams of
    /// different subjects are independent.
    pub(crate) fn of(seed: u64, subject: u64) -> Self {
        Self(mix(seed ^ mix(subject.wrapping_add(0x5851_f42d_4c95_7f2d))))
    }

    /// Draws 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Draws from 0 up to 1, exclusive.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws a whole number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(n)) >> 64) as u64
    }

    /// Draws a whole number from `from` up to `until`, exclusive.
    pub(crate) fn between(&mut self, from: i64, until: i64) -> i64 {
        from + self.below((until - from) as u64) as i64
    }

    /// Draws `true` with that probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Draws from an approximation of the normal distribution with mean 0 and standard deviation 1,
    /// within ±3.5: the sum of four uniform draws.
    pub(crate) fn bell(&mut self) -> f64 {
        const MEAN: f64 = 2.0 * 65_535.0;
        const DEVIATION: f64 = 37_837.2; // 65536 / sqrt(3)
        let bits = self.bits();
        let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xffff).sum();
        (sum as f64 - MEAN) / DEVIATION
    }
}

/// Draws indexes by weight: a table that holds each index as often as its weight demands.
pub(crate) struct WeightedIndex(Vec<u16>);

impl WeightedIndex {
    /// Makes a table of `entries` indexes of `weights`. An index whose weight is less than one entry
    /// may be missing.
    pub(crate) fn new(entries: usize, weights: &[f64]) -> Self {
        let total: f64 = weights.iter().sum();
        let mut table = Vec::with_capacity(entries);
        let mut reached = 0.0;
        for (index, weight) in weights.iter().enumerate() {
            reached += weight / total;
            table.resize((reached * entries as f64).round() as usize, index as u16);
        }
        Self(table)
    }

    /// Draws an index.
    pub(crate) fn draw(&self, rng: &mut Rng) -> usize {
        let entry = rng.below(self.0.len() as u64);
        usize::from(self.0[entry as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_drawn_by_weight() {
        let table = WeightedIndex::new(1000, &[1.0, 0.0, 3.0]);
        let mut rng = Rng::of(7, 0);
        let mut drawn = [0; 3];
        for _ in 0..40_000 {
            drawn[table.draw(&mut rng)] += 1;
        }
        assert!((9_600..10_400).contains(&drawn[0]), "{drawn:?}");
        assert!(drawn[1] == 0, "{drawn:?}");
    }

    #[test]
    fn a_normal_distribution_has_its_mean_and_deviation() {
        let mut rng = Rng::of(7, 1);
        let draws: Vec<f64> = (0..40_000).map(|_| rng.bell()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }
}
