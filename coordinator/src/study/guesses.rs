//! What trainings said of recordings that they have not heard, from their tables.

use std::collections::HashMap;

use serde::Deserialize;
use voxage_transport::Store;

use super::Case;
use crate::{Error, Result};

/// A predicted age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// In years.
    pub age: f64,
    /// Where the age lies with the stated coverage; none without a calibration.
    pub interval: Option<[f64; 2]>,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    predicted: f64,
    low: Option<f64>,
    high: Option<f64>,
}

/// What the tables at some keys, together, say of each case that a fold tests, in the order
/// of the cases.
///
/// # Errors
/// If there is a case without a prediction, or the store fails.
pub async fn guesses(store: &dyn Store, cases: &[Case], tables: &[String]) -> Result<Vec<Guess>> {
    let mut all = HashMap::new();
    for key in tables {
        let bytes = store.get(key).await?;
        for line in csv::Reader::from_reader(&*bytes).deserialize() {
            let line: Line = line.map_err(|error| Error::damaged(key, error))?;
            let interval = line.low.zip(line.high).map(|(low, high)| [low, high]);
            all.insert(line.id, Guess { age: line.predicted, interval });
        }
    }
    let of = |case: &Case| {
        let missing = || Error::damaged(&tables.join(", "), format!("no '{}'", case.recording.id));
        all.get(&case.recording.id).copied().ok_or_else(missing)
    };
    cases.iter().filter(|case| case.fold.is_some()).map(of).collect()
}
