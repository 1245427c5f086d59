//! How far chance moves a statistic: the percentile bootstrap (Efron 1979) over speakers.
//!
//! Always holds: recordings of a speaker stay together, since they are not independent; the
//! resamples follow from the speakers alone, so that two statistics see the same.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use voxage_contract::Rng;

/// Draws of as many speakers as there are.
pub(crate) const RESAMPLES: u64 = 2000;

/// A number with the interval that holds it in 95 of 100 such samples of speakers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounded {
    /// Of the very sample.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Bounds each number of a statistic, which is given positions of recordings; some may come
/// twice. `speakers` says whose each recording is.
pub(crate) fn bounded(
    speakers: &[&str],
    statistic: impl Fn(&[usize]) -> Vec<Option<f64>>,
) -> Vec<Option<Bounded>> {
    let mut places = HashMap::new();
    let mut recordings: Vec<Vec<usize>> = Vec::new();
    for (i, speaker) in speakers.iter().enumerate() {
        let place = *places.entry(speaker).or_insert_with(|| {
            recordings.push(Vec::new());
            recordings.len() - 1
        });
        recordings[place].push(i);
    }
    let values = statistic(&(0..speakers.len()).collect::<Vec<_>>());
    let mut drawn: Vec<Vec<f64>> = vec![Vec::new(); values.len()];
    let mut sample = Vec::new();
    for resample in 0..RESAMPLES {
        let mut rng = Rng::new(&[0x626F_6F74, resample]);
        sample.clear();
        for _ in 0..recordings.len() {
            sample.extend(&recordings[rng.below(recordings.len())]);
        }
        for (drawn, value) in drawn.iter_mut().zip(statistic(&sample)) {
            drawn.extend(value);
        }
    }
    let bound = |(value, mut drawn): (Option<f64>, Vec<f64>)| {
        drawn.sort_unstable_by(f64::total_cmp);
        Some(Bounded {
            value: value?,
            low: quantile(&drawn, 0.025)?,
            high: quantile(&drawn, 0.975)?,
        })
    };
    values.into_iter().zip(drawn).map(bound).collect()
}

/// A quantile of sorted numbers, between two of them by a straight line, as numpy's.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numpy_s() {
        // numpy.quantile([1, 2, 4, 8], [0.025, 0.5, 0.975])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (share, expected) in [(0.025, 1.075), (0.5, 3.0), (0.975, 7.7)] {
            assert!((quantile(&sorted, share).unwrap() - expected).abs() < 1e-12);
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_formula() {
        // 400 speakers of one recording, values 0..400 in a seeded order: the standard error of
        // the mean is sqrt((400² − 1) / 12 / 400) = 5.77.
        let names: Vec<String> = (0..400).map(|i| i.to_string()).collect();
        let mean = |places: &[usize]| {
            vec![Some(places.iter().sum::<usize>() as f64 / places.len() as f64)]
        };
        let one_each: Vec<_> = names.iter().map(String::as_str).collect();
        let found = bounded(&one_each, mean)[0].unwrap();
        assert_eq!(found.value, 199.5);
        let half = (found.high - found.low) / 2.0;
        assert!((half / (1.96 * 5.7735) - 1.0).abs() < 0.05, "{found:?}");

        // The same values, but of 100 speakers whose four are neighbours: twice as wide.
        let four_each: Vec<_> = (0..400).map(|i| names[i / 4].as_str()).collect();
        let found = bounded(&four_each, mean)[0].unwrap();
        let half = (found.high - found.low) / 2.0;
        assert!((half / (2.0 * 1.96 * 5.7735) - 1.0).abs() < 0.08, "{found:?}");
    }

    #[test]
    fn ranges_of_few_speakers_are_too_narrow() {
        // Errors that are nearly normal (sums of twelve), in 200 samples of speakers.
        let held = |speakers: usize| {
            let names: Vec<_> = (0..speakers).map(|i| i.to_string()).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let holds = |sample: &u64| {
                let mut rng = Rng::new(&[7, *sample]);
                let mut error = || (0..12).map(|_| rng.below(1001) as f64).sum::<f64>() - 6000.0;
                let squares: Vec<_> = (0..speakers).map(|_| error().powi(2)).collect();
                let mean = |places: &[usize]| {
                    vec![Some(
                        places.iter().map(|&i| squares[i]).sum::<f64>() / places.len() as f64,
                    )]
                };
                let range = bounded(&names, mean)[0].unwrap();
                // Twelve times (1001² − 1) / 12.
                (range.low..range.high).contains(&1_002_000.0)
            };
            (0..200).filter(holds).count()
        };
        let (few, some) = (held(10), held(60));
        assert!(few < 175 && some > 180, "{few} and {some} of 200");
    }
}
