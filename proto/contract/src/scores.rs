//! Scores of predictions, in years.

use crate::training::{Baseline, Scores};

/// Scores pairs of (true, predicted).
#[must_use]
pub fn scores(pairs: &[(f64, f64)]) -> Scores {
    let n = pairs.len() as f64;
    let mean = |value: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(value).sum::<f64>() / n;
    let (true_mean, predicted_mean) = (mean(&|p| p.0), mean(&|p| p.1));
    let squared_error = mean(&|p| (p.0 - p.1).powi(2));
    let true_variance = mean(&|p| (p.0 - true_mean).powi(2));
    let predicted_variance = mean(&|p| (p.1 - predicted_mean).powi(2));
    let covariance = mean(&|p| (p.0 - true_mean) * (p.1 - predicted_mean));
    let mut errors: Vec<f64> = pairs.iter().map(|p| (p.0 - p.1).abs()).collect();
    errors.sort_unstable_by(f64::total_cmp);
    let middle = |from: usize| errors.get(from).copied().unwrap_or(f64::NAN);
    let median =
        f64::midpoint(middle(errors.len().saturating_sub(1) / 2), middle(errors.len() / 2));
    let apart = true_variance + predicted_variance + (true_mean - predicted_mean).powi(2);
    // Without pairs, or without variance, some of these are no numbers: then there is no score.
    let score = |value: f64| Some(value).filter(|value| value.is_finite());
    Scores {
        n: pairs.len() as u64,
        rmse: score(squared_error.sqrt()),
        mae: score(mean(&|p| (p.0 - p.1).abs())),
        median_ae: score(median),
        r2: score(1.0 - squared_error / true_variance),
        pearson: score(covariance / (true_variance * predicted_variance).sqrt()),
        ccc: score(2.0 * covariance / apart),
    }
}

/// The oldest age that is believed, of anybody's label or prediction, in years.
pub const MAX_AGE_YEARS: f64 = 120.0;

/// Bands of ages, youngest first.
pub const AGE_BANDS: [&str; 6] =
    ["under 20", "20 to 29", "30 to 39", "40 to 49", "50 to 59", "60 and over"];

/// The band of an age in years, as a position in [`AGE_BANDS`].
#[must_use]
pub fn age_band(age: f64) -> usize {
    // A cast of what is below 0, or no number, gives 0.
    (((age / 10.0).floor() - 1.0) as usize).min(AGE_BANDS.len() - 1)
}

/// Scores the prediction of one age for everyone.
#[must_use]
pub fn baseline(pairs: &[(f64, f64)], age: f64) -> Baseline {
    let constant: Vec<_> = pairs.iter().map(|(truth, _)| (*truth, age)).collect();
    let scores = scores(&constant);
    Baseline { age, rmse: scores.rmse, mae: scores.mae }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_formulas() {
        let scores = scores(&[(20.0, 22.0), (30.0, 29.0), (40.0, 39.0)]);
        assert_eq!(scores.n, 3);
        assert!((scores.rmse.unwrap() - 2f64.sqrt()).abs() < 1e-12);
        assert!((scores.mae.unwrap() - 4.0 / 3.0).abs() < 1e-12);
        assert!((scores.median_ae.unwrap() - 1.0).abs() < 1e-12);
        let ccc = 2.0 * 170.0 / (200.0 + 146.0);
        assert!((scores.ccc.unwrap() - ccc).abs() < 1e-12);
        assert!((scores.r2.unwrap() - (1.0 - 6.0 / 200.0)).abs() < 1e-12);
        assert!((scores.pearson.unwrap() - 170.0 / (200f64 * 146.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        let none = scores(&[]);
        assert_eq!((none.n, none.rmse, none.r2, none.pearson), (0, None, None, None));
        let one = scores(&[(20.0, 25.0)]);
        assert_eq!((one.rmse, one.r2, one.pearson), (Some(5.0), None, None));
        let constant = scores(&[(20.0, 25.0), (30.0, 25.0)]);
        assert_eq!((constant.r2, constant.pearson), (Some(0.0), None));
    }

    #[test]
    fn bands_begin_where_they_say() {
        let ages = [-1.0, 7.0, 19.99, 20.0, 29.9, 30.0, 49.9, 50.0, 60.0, 82.0];
        assert_eq!(ages.map(age_band), [0, 0, 0, 1, 1, 2, 3, 4, 5, 5]);
    }

    #[test]
    fn the_baseline_predicts_one_age() {
        let baseline = baseline(&[(20.0, 0.0), (30.0, 0.0)], 25.0);
        assert_eq!((baseline.rmse, baseline.mae), (Some(5.0), Some(5.0)));
    }
}
