//! Errors by parts of the recordings, each with its size and the mean age's errors beside.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use voxage_contract::scores::{AGE_BANDS, scores};

use super::Case;

/// Values of a column with cells of their own, those with the most recordings.
const MOST: usize = 30;

const DURATIONS: [(f64, &str); 4] = [
    (5.0, "under 5 s"),
    (15.0, "5 to 15 s"),
    (30.0, "15 to 30 s"),
    (f64::INFINITY, "30 s and over"),
];

/// The recordings in parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cells {
    /// By what.
    pub by: String,
    /// The parts, in a telling order.
    pub cells: Vec<Cell>,
}

/// A part. Errors are in years, those of the model a mean over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Which.
    pub name: String,
    /// Its recordings.
    pub n: u64,
    /// Their speakers.
    pub speakers: u64,
    /// The model's root of the mean squared error.
    pub rmse: f64,
    /// Its mean absolute error.
    pub mae: f64,
    /// Its mean error: above 0 where it predicts too old.
    pub bias: f64,
    /// The mean age's root of the mean squared error.
    pub mean_rmse: f64,
    /// Its mean absolute error.
    pub mean_mae: f64,
}

/// What cases are told apart by: its name, and a case's place among all and name.
type Side<'a> = (&'a str, Box<dyn Fn(&Case) -> (usize, String) + 'a>);

/// Cells by age, gender, both, duration, and each column; and by all of these together.
/// `seeds` and `mean` have a predicted age for each case.
pub(crate) fn cells(
    cases: &[&Case],
    seeds: &[Vec<f64>],
    mean: &[f64],
    by: &[String],
) -> (Vec<Cells>, Cells) {
    let part = |sides: &[&Side<'_>]| {
        let mut parts: BTreeMap<Vec<(usize, String)>, Vec<usize>> = BTreeMap::new();
        for (i, case) in cases.iter().enumerate() {
            parts.entry(sides.iter().map(|(_, of)| of(case)).collect()).or_default().push(i);
        }
        let cell = |(key, places): (Vec<(usize, String)>, Vec<usize>)| {
            let names: Vec<_> = key.into_iter().map(|(_, name)| name).collect();
            cell(names.join(", "), &places, (cases, seeds, mean))
        };
        let names: Vec<_> = sides.iter().map(|(name, _)| *name).collect();
        Cells { by: names.join(", "), cells: parts.into_iter().map(cell).collect() }
    };
    let age = |case: &Case| AGE_BANDS.iter().position(|band| *band == case.band()).unwrap_or(0);
    let duration = |case: &Case| {
        let fits = |(below, _): &(f64, &str)| case.duration_s < *below;
        DURATIONS.iter().position(fits).unwrap_or(DURATIONS.len() - 1)
    };
    let mut sides: Vec<Side<'_>> = vec![
        ("age", Box::new(move |case| (age(case), case.band().into()))),
        ("gender", Box::new(|case| (0, case.gender().into()))),
        ("duration", Box::new(move |case| (duration(case), DURATIONS[duration(case)].1.into()))),
    ];
    for column in by.iter().filter(|column| *column != "gender") {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for case in cases {
            *counts.entry(case.recording.value(column)).or_default() += 1;
        }
        let mut order: Vec<_> = counts.into_iter().collect();
        order.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let of = move |case: &Case| {
            let value = case.recording.value(column);
            match order.iter().take(MOST).position(|(other, _)| *other == value) {
                None => (MOST, "all others".into()),
                Some(_) if value.is_empty() => (MOST + 1, "not given".into()),
                Some(rank) => (rank, value.into()),
            }
        };
        sides.push((column, Box::new(of)));
    }
    let mut all: Vec<_> = sides.iter().map(|side| part(&[side])).collect();
    all.insert(2, part(&[&sides[0], &sides[1]]));
    (all, part(&sides.iter().collect::<Vec<_>>()))
}

fn cell(
    name: String,
    places: &[usize],
    (cases, seeds, mean): (&[&Case], &[Vec<f64>], &[f64]),
) -> Cell {
    let of = |ages: &[f64]| {
        let pairs: Vec<_> = places.iter().map(|&i| (cases[i].age, ages[i])).collect();
        let scores = scores(&pairs);
        let bias = pairs.iter().map(|(age, guess)| guess - age).sum::<f64>() / pairs.len() as f64;
        [scores.rmse.unwrap_or(f64::NAN), scores.mae.unwrap_or(f64::NAN), bias]
    };
    let every: Vec<_> = seeds.iter().map(|ages| of(ages)).collect();
    let over_seeds =
        |which: usize| every.iter().map(|scores| scores[which]).sum::<f64>() / every.len() as f64;
    let [mean_rmse, mean_mae, _] = of(mean);
    let speakers: BTreeSet<_> = places.iter().map(|&i| cases[i].speaker()).collect();
    Cell {
        name,
        n: places.len() as u64,
        speakers: speakers.len() as u64,
        rmse: over_seeds(0),
        mae: over_seeds(1),
        bias: over_seeds(2),
        mean_rmse,
        mean_mae,
    }
}
