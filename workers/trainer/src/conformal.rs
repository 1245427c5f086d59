//! Intervals that hold a stated share of ages: split conformal prediction (Vovk, Gammerman
//! and Shafer 2005) with residuals over the estimator's own spread, for bands of predicted
//! ages of their own (Mondrian).
//!
//! Always holds: of recordings like those that it was calibrated on, at least the share of
//! the coverage lies within, in each band, whatever the estimator.

use serde::{Deserialize, Serialize};
use voxage_contract::scores::MAX_AGE_YEARS;

use crate::estimator::Estimate;

/// Recordings of a band, at least: the quantile of fewer says little.
const LEAST_OF_BAND: usize = 40;

/// Bands, at most.
const MOST_BANDS: usize = 4;

/// A calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conformal {
    /// The share of ages that intervals hold.
    pub coverage: f64,
    /// Recordings that it was calibrated on.
    pub rows: u64,
    /// Bands of predicted ages, youngest first; together they are all ages.
    pub bands: Vec<Band>,
}

/// Predicted ages up to some age.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Up to this age in years, not included; none for the last.
    pub below: Option<f64>,
    /// Half an interval's width, in spreads.
    pub width: f64,
}

impl Conformal {
    /// Calibrates on the ages of recordings that the estimator has not seen; none if
    /// they are too few for the coverage.
    #[must_use]
    pub fn fit(coverage: f64, seen: &[(f64, Estimate)]) -> Option<Self> {
        let mut sorted: Vec<&(f64, Estimate)> = seen.iter().collect();
        sorted.sort_by(|a, b| a.1.age.total_cmp(&b.1.age));
        let n_bands = (sorted.len() / LEAST_OF_BAND).clamp(1, MOST_BANDS);
        let cut = |band: usize| band * sorted.len() / n_bands;
        let band = |band: usize| {
            let rows = &sorted[cut(band)..cut(band + 1)];
            let below = sorted.get(cut(band + 1)).map(|row| row.1.age);
            Some(Band { below, width: width(coverage, rows)? })
        };
        let bands = (0..n_bands).map(band).collect::<Option<_>>()?;
        Some(Self { coverage, rows: seen.len() as u64, bands })
    }

    /// That of an estimator whose spreads are half widths already.
    #[must_use]
    pub fn of_spreads(coverage: f64) -> Self {
        Self { coverage, rows: 0, bands: vec![Band { below: None, width: 1.0 }] }
    }

    /// Half the width of an estimate's interval, in years.
    #[must_use]
    pub fn half(&self, estimate: Estimate) -> f64 {
        let within = |band: &&Band| band.below.is_none_or(|below| estimate.age < below);
        let width = self.bands.iter().find(within).map_or(f64::INFINITY, |band| band.width);
        width * estimate.spread
    }

    /// The interval of an estimate, in years; within the ages that a recording may have, so that
    /// nothing is lost of its promise.
    #[must_use]
    pub fn interval(&self, estimate: Estimate) -> [f64; 2] {
        let half = self.half(estimate);
        [(estimate.age - half).max(0.0), (estimate.age + half).min(MAX_AGE_YEARS)]
    }
}

/// The least half width that holds the share, with the correction for a finite number of rows.
fn width(coverage: f64, rows: &[&(f64, Estimate)]) -> Option<f64> {
    let residual =
        |(age, estimate): &&(f64, Estimate)| (age - estimate.age).abs() / estimate.spread;
    let mut residuals: Vec<f64> = rows.iter().map(residual).collect();
    residuals.sort_unstable_by(f64::total_cmp);
    let place = ((rows.len() + 1) as f64 * coverage).ceil() as usize;
    residuals.get(place.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_dataset::Rng;

    /// Ages around estimates, with errors that grow with the age.
    fn rows(seed: u64, n: usize) -> Vec<(f64, Estimate)> {
        let mut rng = Rng::new(&[seed]);
        let mut uniform = move || rng.below(1 << 20) as f64 / f64::from(1 << 20);
        (0..n)
            .map(|_| {
                let age = 20.0 + 50.0 * uniform();
                let normal: f64 = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
                (age + normal * age / 8.0, Estimate { age, spread: 1.0 })
            })
            .collect()
    }

    #[test]
    fn each_band_holds_its_share() {
        let conformal = Conformal::fit(0.9, &rows(1, 2000)).unwrap();
        assert_eq!(conformal.bands.len(), 4);
        assert!(conformal.bands.windows(2).all(|pair| pair[0].width < pair[1].width));
        for (low, high) in [(20.0, 35.0), (35.0, 50.0), (50.0, 70.0)] {
            let new: Vec<_> = rows(2, 6000)
                .into_iter()
                .filter(|(_, estimate)| (low..high).contains(&estimate.age))
                .collect();
            let holds = |(age, estimate): &&(f64, Estimate)| {
                let [from, to] = conformal.interval(*estimate);
                (from..=to).contains(age)
            };
            let share = new.iter().filter(holds).count() as f64 / new.len() as f64;
            assert!((0.86..0.95).contains(&share), "{low} to {high}: {share}");
        }
    }

    #[test]
    fn intervals_stay_within_the_ages_of_recordings() {
        let conformal = Conformal::of_spreads(0.9);
        let interval = |age| conformal.interval(Estimate { age, spread: 10.0 });
        assert_eq!([interval(4.0), interval(50.0)], [[0.0, 14.0], [40.0, 60.0]]);
        assert_eq!(interval(115.0), [105.0, MAX_AGE_YEARS]);
    }

    #[test]
    fn few_rows_give_one_band_or_none() {
        assert_eq!(Conformal::fit(0.9, &rows(3, 20)).unwrap().bands.len(), 1);
        assert_eq!(Conformal::fit(0.9, &rows(3, 8)), None);
        assert_eq!(Conformal::fit(0.9, &[]), None);
    }
}
