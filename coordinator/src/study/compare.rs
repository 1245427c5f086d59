//! Whether one study does better than another on the same recordings.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::bootstrap::bounded;
use super::findings::errors;
use super::{Bounded, Case, Guess, Study};
use crate::{Error, Result};

/// A against B: errors in years, means over each one's seeds, bounded over speakers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Names of both.
    pub studies: [String; 2],
    /// Recordings of both.
    pub recordings: u64,
    /// Their speakers.
    pub speakers: u64,
    /// Whether both hold out the same parts: otherwise they do not learn from the same.
    pub same_folds: bool,
    /// The RMSE of A, of B, and of A less B: below 0, A is better.
    pub rmse: [Option<Bounded>; 3],
    /// The same of the MAE.
    pub mae: [Option<Bounded>; 3],
}

/// Compares two studies, each with what its seeds said of its cases.
///
/// # Errors
/// If they are not about the same recordings.
pub fn compare(a: (&Study, &[Vec<Guess>]), b: (&Study, &[Vec<Guess>])) -> Result<Comparison> {
    let (first, second) = (&a.0.cases, &b.0.cases);
    let places: HashMap<&str, usize> =
        second.iter().enumerate().map(|(i, case)| (&*case.recording.id, i)).collect();
    let same = |case: &Case| {
        let place = places.get(&*case.recording.id).copied();
        place.filter(|&i| second[i].age == case.age && second[i].speaker() == case.speaker())
    };
    let both: Vec<_> = first.iter().map_while(same).collect();
    if both.len() != first.len() || both.len() != second.len() {
        return Err(Error::Study(format!(
            "studies {} and {} are about different recordings, ages or speakers: \
             repeat one on the other's data",
            a.0.id, b.0.id
        )));
    }
    let of = |said: &[Vec<Guess>], places: &[usize], place: &dyn Fn(usize) -> usize| {
        let each = said
            .iter()
            .map(|said| errors(places.iter().map(|&i| first[i].age - said[place(i)].age)));
        let sum = each.fold([0.0; 2], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
        sum.map(|sum| sum / said.len() as f64)
    };
    let speakers: Vec<_> = first.iter().map(Case::speaker).collect();
    let found = bounded(&speakers, |places| {
        let one = of(a.1, places, &|i| i);
        let other = of(b.1, places, &|i| both[i]);
        [0, 1].iter().flat_map(|&i| [one[i], other[i], one[i] - other[i]]).map(Some).collect()
    });
    let unique: BTreeSet<_> = speakers.iter().collect();
    Ok(Comparison {
        studies: [a.0.id.clone(), b.0.id.clone()],
        recordings: first.len() as u64,
        speakers: unique.len() as u64,
        same_folds: a.0.folds == b.0.folds,
        rmse: [found[0], found[1], found[2]],
        mae: [found[3], found[4], found[5]],
    })
}
