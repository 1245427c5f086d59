//! Whether prediction intervals hold what they promise, and how wide they are.

use serde::{Deserialize, Serialize};
use voxage_contract::scores::{AGE_BANDS, age_band};

use super::{Case, Guess};

/// Intervals held against the ages, those of all seeds together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// The share of ages that they are made to hold.
    pub nominal: f64,
    /// All of them.
    pub all: Held,
    /// By predicted age, which they are calibrated by.
    pub bands: Vec<Held>,
    /// By true age, which they are not.
    #[serde(default)]
    pub ages: Vec<Held>,
    /// Predictions without one: too few recordings were there to calibrate by.
    #[serde(default)]
    pub without: u64,
}

impl Coverage {
    /// All intervals, then parts of them.
    pub fn parts(&self) -> impl Iterator<Item = &Held> {
        std::iter::once(&self.all).chain(&self.bands).chain(&self.ages)
    }
}

/// Some intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Which.
    pub name: String,
    /// How many: of each seed one for a recording.
    pub n: u64,
    /// The share of them that hold the age.
    pub share: f64,
    /// Their mean width in years.
    pub width: f64,
}

/// An interval: the bands of the predicted and the true age, whether it holds that, its width.
struct Row {
    predicted: usize,
    age: usize,
    holds: bool,
    width: f64,
}

/// Holds intervals against ages; none if there is no interval of a finite width.
pub(crate) fn coverage(nominal: f64, cases: &[&Case], seeds: &[Vec<Guess>]) -> Option<Coverage> {
    let (mut rows, mut without) = (Vec::new(), 0);
    for (case, guess) in seeds.iter().flat_map(|guesses| cases.iter().zip(guesses)) {
        let Some([low, high]) = guess.interval.filter(|[low, high]| (high - low).is_finite())
        else {
            without += 1;
            continue;
        };
        let (predicted, age) = (age_band(guess.age), age_band(case.age));
        let holds = (low..=high).contains(&case.age);
        rows.push(Row { predicted, age, holds, width: high - low });
    }
    let held = |name: String, within: &dyn Fn(&&Row) -> bool| {
        let rows: Vec<_> = rows.iter().filter(within).collect();
        let n = rows.len() as u64;
        let share = rows.iter().filter(|row| row.holds).count() as f64 / n as f64;
        let width = rows.iter().map(|row| row.width).sum::<f64>() / n as f64;
        (n > 0).then_some(Held { name, n, share, width })
    };
    let bands = AGE_BANDS.iter().enumerate();
    let of_predicted = |(band, name): (usize, &&str)| {
        held(format!("predicted {name}"), &|row| row.predicted == band)
    };
    let of_age =
        |(band, name): (usize, &&str)| held(format!("truly {name}"), &|row| row.age == band);
    Some(Coverage {
        nominal,
        all: held("all".into(), &|_| true)?,
        bands: bands.clone().filter_map(of_predicted).collect(),
        ages: bands.filter_map(of_age).collect(),
        without,
    })
}
