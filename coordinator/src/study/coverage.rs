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
    /// By predicted age.
    pub bands: Vec<Held>,
}

/// Some intervals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Which.
    pub name: String,
    /// How many.
    pub n: u64,
    /// The share of them that hold the age.
    pub share: f64,
    /// Their mean width in years.
    pub width: f64,
}

/// Holds intervals against ages; none if there is no interval of a finite width.
pub(crate) fn coverage(nominal: f64, cases: &[&Case], seeds: &[Vec<Guess>]) -> Option<Coverage> {
    let mut rows = Vec::new();
    for (case, guess) in seeds.iter().flat_map(|guesses| cases.iter().zip(guesses)) {
        if let Some([low, high]) = guess.interval
            && (high - low).is_finite()
        {
            rows.push((age_band(guess.age), (low..=high).contains(&case.age), high - low));
        }
    }
    let held = |name: &str, rows: &[&(usize, bool, f64)]| {
        let mean = |value: &dyn Fn(&(usize, bool, f64)) -> f64| {
            rows.iter().map(|row| value(row)).sum::<f64>() / rows.len() as f64
        };
        let n = rows.len() as u64;
        let (share, width) = (mean(&|row| f64::from(row.1)), mean(&|row| row.2));
        (n > 0).then(|| Held { name: name.to_owned(), n, share, width })
    };
    let of_band = |band: usize| {
        let of: Vec<_> = rows.iter().filter(|row| row.0 == band).collect();
        held(AGE_BANDS[band], &of)
    };
    Some(Coverage {
        nominal,
        all: held("all", &rows.iter().collect::<Vec<_>>())?,
        bands: (0..AGE_BANDS.len()).filter_map(of_band).collect(),
    })
}
