//! Logistic regression by Newton's method.

/// Forecasts with the same terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted<const N: usize> {
    /// What the weights are multiplied by.
    pub(super) terms: [f64; N],
    /// The number of forecasts, or their weight.
    pub(super) forecasts: f64,
    /// Those that came true.
    pub(super) came_true: f64,
}

/// The Gaussian prior of the weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior<const N: usize> {
    pub(super) mean: [f64; N],
    /// Each above 0.
    pub(super) precision: [f64; N],
}

/// The most steps. A few are enough.
const STEPS: usize = 50;
/// The most halvings of one step.
const HALVINGS: usize = 30;
/// No step is made that changes no weight by more: the next one would be about as short as its square.
const CLOSE: f64 = 1e-6;

/// Returns the most likely weights: the log odds of a forecast are the sum of its terms multiplied by them. Steps begin
/// with `start`. One is halved until the likelihood rises.
pub(super) fn fit<const N: usize, I>(
    counted: impl Fn() -> I,
    prior: Prior<N>,
    start: [f64; N],
) -> [f64; N]
where
    I: Iterator<Item = Counted<N>>,
{
    let mut weights = start;
    let mut at = Likelihood::of(counted(), prior, weights);
    for _ in 0..STEPS {
        let mut step = solve(at.curvature, at.gradient);
        if step.iter().all(|of_weight| of_weight.abs() < CLOSE) {
            break;
        }
        let mut halvings = 0;
        loop {
            let tried = std::array::from_fn(|index| weights[index] + step[index]);
            let of_tried = Likelihood::of(counted(), prior, tried);
            if of_tried.logarithm > at.logarithm {
                (weights, at) = (tried, of_tried);
                break;
            }
            halvings += 1;
            if halvings > HALVINGS {
                return weights;
            }
            step = step.map(|of_weight| of_weight / 2.0);
        }
    }
    weights
}

/// Returns the sum of products.
pub(super) fn dot<const N: usize>(a: [f64; N], b: [f64; N]) -> f64 {
    a.into_iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The likelihood of weights, with their prior.
struct Likelihood<const N: usize> {
    /// Its logarithm, but for a constant.
    logarithm: f64,
    /// The derivatives of the logarithm.
    gradient: [f64; N],
    /// The lower triangle of its second derivatives, which are negative, without their sign.
    curvature: [[f64; N]; N],
}

impl<const N: usize> Likelihood<N> {
    fn of(counted: impl Iterator<Item = Counted<N>>, prior: Prior<N>, weights: [f64; N]) -> Self {
        let mut logarithm = 0.0;
        let mut gradient = [0.0; N];
        let mut curvature = [[0.0; N]; N];
        for index in 0..N {
            let from_mean = weights[index] - prior.mean[index];
            logarithm -= prior.precision[index] * from_mean * from_mean / 2.0;
            gradient[index] = -prior.precision[index] * from_mean;
            curvature[index][index] = prior.precision[index];
        }
        for of in counted {
            let logit = dot(weights, of.terms);
            // No exponential of a large number.
            let small = (-logit.abs()).exp();
            let p = if logit > 0.0 { 1.0 } else { small } / (1.0 + small);
            let ln_1_plus_exp = logit.max(0.0) + small.ln_1p();
            logarithm += of.came_true * logit - of.forecasts * ln_1_plus_exp;
            let error = of.came_true - of.forecasts * p;
            let weight = of.forecasts * p * (1.0 - p);
            for (row, term) in of.terms.iter().enumerate() {
                gradient[row] += error * term;
                for (cell, other) in curvature[row][..=row].iter_mut().zip(of.terms) {
                    *cell += weight * term * other;
                }
            }
        }
        Self {
            logarithm,
            gradient,
            curvature,
        }
    }
}

/// Solves a system of linear equations whose matrix is symmetric and positive definite, by Cholesky's
/// decomposition. The upper triangle is not read.
pub(super) fn solve<const N: usize>(mut matrix: [[f64; N]; N], mut vector: [f64; N]) -> [f64; N] {
    for row in 0..N {
        for column in 0..=row {
            let before = |i: usize| matrix[row][i] * matrix[column][i];
            let rest = matrix[row][column] - (0..column).map(before).sum::<f64>();
            matrix[row][column] = match row == column {
                true => rest.sqrt(),
                false => rest / matrix[column][column],
            };
        }
    }
    for row in 0..N {
        let before: f64 = (0..row).map(|i| matrix[row][i] * vector[i]).sum();
        vector[row] = (vector[row] - before) / matrix[row][row];
    }
    for row in (0..N).rev() {
        let after: f64 = (row + 1..N).map(|i| matrix[i][row] * vector[i]).sum();
        vector[row] = (vector[row] - after) / matrix[row][row];
    }
    vector
}
