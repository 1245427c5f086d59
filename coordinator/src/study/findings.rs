//! What a study, or the test of a model, came to.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use voxage_contract::scores::scores;
use voxage_contract::training::Scores;

use super::bootstrap::bounded;
use super::{Bounded, Case, Cells, Coverage, Guess, Leaks, Request};
use super::{baselines, cells, coverage, leaks};

/// What is to be summed up.
#[derive(Debug)]
pub struct Material<'a> {
    /// All recordings; those without a fold are learned from and not tested.
    pub cases: &'a [Case],
    /// What was said under each seed of those that are tested, in their order.
    pub seeds: Vec<Vec<Guess>>,
    /// What a ridge said of them, if there is another one.
    pub ridge: Option<Vec<Guess>>,
    /// Columns whose values are measured each by itself.
    pub by: &'a [String],
    /// The share of ages that intervals are made to hold.
    pub coverage: f64,
}

/// Scores over all recordings that are tested. Of several seeds, everything is a mean; of
/// every number, the interval is that of 95 in 100 samples of speakers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The study; none if it was the test of a model.
    pub study: Option<String>,
    /// What was asked.
    pub request: Option<Request>,
    /// Recordings that were tested.
    pub recordings: u64,
    /// Their speakers.
    pub speakers: u64,
    /// Recordings of each fold.
    pub folds: Vec<u64>,
    /// How far off it is.
    pub scores: Measures,
    /// The same of each seed alone.
    pub seeds: Vec<Scores>,
    /// What must be beaten.
    pub baselines: Vec<Rival>,
    /// Errors by part.
    pub cells: Vec<Cells>,
    /// Errors by everything together.
    #[serde(default)]
    pub crossed: Cells,
    /// How its intervals do; none if it has none.
    pub intervals: Option<Coverage>,
    /// What may have leaked.
    pub leaks: Leaks,
}

/// Scores with their intervals; what the recordings do not allow is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Root of the mean squared error in years.
    pub rmse: Option<Bounded>,
    /// Mean absolute error in years.
    pub mae: Option<Bounded>,
    /// Median of the absolute errors in years.
    pub median_ae: Option<Bounded>,
    /// Share of the variance that is explained.
    pub r2: Option<Bounded>,
    /// Pearson's correlation.
    pub pearson: Option<Bounded>,
    /// Lin's coefficient of concordance.
    pub ccc: Option<Bounded>,
    /// Years that the prediction rises for one year of age: below 1, it keeps to the middle.
    pub slope: Option<Bounded>,
}

/// Of fewer speakers, ranges by resampling hold the number in less than nine of ten samples.
const FEW_SPEAKERS: u64 = 20;

impl Findings {
    /// What to think of the ranges, where they are of few speakers; else nothing.
    #[must_use]
    pub fn caution(&self) -> Option<String> {
        (self.speakers < FEW_SPEAKERS).then(|| {
            format!("Of fewer than {FEW_SPEAKERS} speakers the ranges are too narrow, the more so the fewer.")
        })
    }
}

/// Another prediction of the same recordings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rival {
    /// Which.
    pub name: String,
    /// How far off it is.
    pub scores: Scores,
    /// The RMSE that is measured less the rival's: below 0, it is beaten.
    pub rmse: Option<Bounded>,
    /// The same of the MAE.
    pub mae: Option<Bounded>,
}

/// Sums up. Takes the time of some thousand scorings.
#[must_use]
pub fn findings(material: &Material<'_>) -> Findings {
    let cases: Vec<&Case> = material.cases.iter().filter(|case| case.fold.is_some()).collect();
    let ages = |guesses: &Vec<Guess>| guesses.iter().map(|guess| guess.age).collect::<Vec<_>>();
    let seeds: Vec<Vec<f64>> = material.seeds.iter().map(ages).collect();
    let mut rivals: Vec<(String, Vec<f64>)> = baselines::means(material.cases, material.by)
        .into_iter()
        .map(|baseline| (baseline.name, baseline.ages))
        .collect();
    let mean = rivals.first().map(|(_, ages)| ages.clone()).unwrap_or_default();
    rivals.extend(material.ridge.iter().map(|said| ("ridge".to_owned(), ages(said))));

    let all: Vec<_> = (0..cases.len()).collect();
    let pairs = |places: &[usize], said: &[f64]| -> Vec<(f64, f64)> {
        places.iter().map(|&i| (cases[i].age, said[i])).collect()
    };
    let statistic = |places: &[usize]| {
        let every: Vec<_> = seeds.iter().map(|said| numbers(&pairs(places, said))).collect();
        let over_seeds = |which: usize| {
            let sum = every.iter().map(|numbers| numbers[which]).sum::<Option<f64>>();
            sum.map(|sum| sum / every.len() as f64)
        };
        let mut all: Vec<_> = (0..7).map(over_seeds).collect();
        for (_, said) in &rivals {
            let [rmse, mae] = errors(places.iter().map(|&i| cases[i].age - said[i]));
            all.extend([all[0].map(|own| own - rmse), all[1].map(|own| own - mae)]);
        }
        all
    };
    let speakers: Vec<_> = cases.iter().map(|case| case.speaker()).collect();
    let found = bounded(&speakers, statistic);
    let rival = |(i, (name, said)): (usize, &(String, Vec<f64>))| Rival {
        name: name.clone(),
        scores: scores(&pairs(&all, said)),
        rmse: found[7 + 2 * i],
        mae: found[8 + 2 * i],
    };
    let (cells, crossed) = cells::cells(&cases, &seeds, &mean, material.by);
    let folds = cases.iter().filter_map(|case| case.fold).max().map_or(0, |last| last + 1);
    let of_fold = |fold| cases.iter().filter(|case| case.fold == Some(fold)).count() as u64;
    Findings {
        study: None,
        request: None,
        recordings: cases.len() as u64,
        speakers: speakers.iter().collect::<BTreeSet<_>>().len() as u64,
        folds: (0..folds).map(of_fold).collect(),
        scores: Measures {
            rmse: found[0],
            mae: found[1],
            median_ae: found[2],
            r2: found[3],
            pearson: found[4],
            ccc: found[5],
            slope: found[6],
        },
        seeds: seeds.iter().map(|said| scores(&pairs(&all, said))).collect(),
        baselines: rivals.iter().enumerate().map(rival).collect(),
        cells,
        crossed,
        intervals: coverage::coverage(material.coverage, &cases, &material.seeds),
        leaks: leaks::leaks(material.cases),
    }
}

/// The scores of pairs (true, predicted), and the slope of their regression.
fn numbers(pairs: &[(f64, f64)]) -> [Option<f64>; 7] {
    let Scores { rmse, mae, median_ae, r2, pearson, ccc, .. } = scores(pairs);
    [rmse, mae, median_ae, r2, pearson, ccc, slope(pairs)]
}

/// The slope of the least-squares line of predicted over true.
fn slope(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let mean = pairs.iter().map(|pair| pair.0).sum::<f64>() / n;
    let spread = pairs.iter().map(|pair| (pair.0 - mean).powi(2)).sum::<f64>();
    let shared = pairs.iter().map(|pair| (pair.0 - mean) * pair.1).sum::<f64>();
    Some(shared / spread).filter(|slope| slope.is_finite())
}

/// RMSE and MAE of errors.
pub(crate) fn errors(errors: impl Iterator<Item = f64>) -> [f64; 2] {
    let (n, squares, sum) = errors.fold((0.0, 0.0, 0.0), |(n, squares, sum), error| {
        (n + 1.0, squares + error * error, sum + error.abs())
    });
    [(squares / n).sqrt(), sum / n]
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::{Gender, Recording, Rng};

    /// Recordings of two a speaker, with ages, in five folds; what is said of each follows
    /// from `say`.
    fn found(n: usize, say: impl Fn(f64, &mut Rng) -> f64) -> Findings {
        let mut rng = Rng::new(&[5]);
        let case = |i: usize| {
            let gender = if i % 4 < 2 { Gender::Female } else { Gender::Male };
            let (id, speaker) = (i.to_string(), format!("s{}", i / 2));
            let recording =
                Recording { id, speaker, gender: gender.into(), ..Recording::default() };
            let age = (20 + (i / 2 * 7) % 50) as f64;
            Case { recording, age, fold: Some(i / 2 % 5), ..Case::default() }
        };
        let cases: Vec<_> = (0..n).map(case).collect();
        let guess = |case: &Case| {
            let age = say(case.age, &mut rng);
            Guess { age, interval: Some([age - 10.0, age + 10.0]) }
        };
        let seeds = vec![cases.iter().map(guess).collect()];
        findings(&Material { cases: &cases, seeds, ridge: None, by: &[], coverage: 0.9 })
    }

    #[test]
    fn who_says_anything_is_found_out() {
        let chance = found(400, |_, rng| 20.0 + rng.below(50) as f64);
        let r = chance.scores.pearson.unwrap();
        assert!(r.low < 0.0 && r.high > 0.0 && r.value.abs() < 0.15, "{r:?}");
        let mean = &chance.baselines[0];
        assert!(mean.rmse.unwrap().low > 0.0, "the mean is better than chance: {mean:?}");
    }

    #[test]
    fn who_knows_half_is_measured_so() {
        // The middle and half of the way to the age.
        let half = found(400, |age, _| 44.5 + (age - 44.5) / 2.0);
        assert_eq!(half.caution(), None);
        assert!((half.scores.slope.unwrap().value - 0.5).abs() < 1e-12);
        assert!((half.scores.pearson.unwrap().value - 1.0).abs() < 1e-12);
        // Uniform over 50 years: the deviation is 14.43, half of which is left.
        let rmse = half.scores.rmse.unwrap();
        assert!((rmse.value - 7.215).abs() < 0.01 && rmse.low < 7.0 && rmse.high > 7.4, "{rmse:?}");
        assert!(half.baselines[0].rmse.unwrap().high < 0.0);
        // Intervals of ±10 hold whose age is within 20 of the middle: 24.5 to 64.5.
        let held = half.intervals.unwrap();
        assert!((held.all.share - 0.8).abs() < 0.02 && held.all.width == 20.0, "{held:?}");
        let ages = &half.cells[0];
        assert_eq!(ages.cells.iter().map(|cell| cell.n).sum::<u64>(), 400);
        assert!(ages.cells[0].bias > 5.0 && ages.cells[4].bias < -5.0, "{ages:?}");
        // Five bands, two genders, one duration.
        let crossed = &half.crossed;
        assert_eq!(crossed.by, "age, gender, duration");
        assert_eq!(crossed.cells[0].name, "20 to 29, female, under 5 s");
        assert_eq!(crossed.cells.iter().map(|cell| cell.n).sum::<u64>(), 400);
        assert_eq!(crossed.cells.len(), 10);
        assert_eq!((half.recordings, half.speakers, half.folds), (400, 200, vec![80; 5]));
        assert!(found(38, |age, _| age).caution().unwrap().contains("fewer than 20 speakers"));
    }

    #[test]
    fn the_slope_is_scipy_s() {
        // scipy.stats.linregress([20, 30, 45, 60], [25, 28, 41, 44]).slope
        let pairs = [(20.0, 25.0), (30.0, 28.0), (45.0, 41.0), (60.0, 44.0)];
        assert!((slope(&pairs).unwrap() - 0.519_727_891_156_462_6).abs() < 1e-12);
        assert_eq!(slope(&pairs[..1]), None);
    }
}
