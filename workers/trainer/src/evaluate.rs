//! How a model does on the speakers that it has not seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use voxage_contract::training::{Cell, Evaluation, SplitEvaluation};
use voxage_contract::{Gender, Split};
use voxage_dataset::{Dataset, Order, Sample};
use voxage_shards::Columns;

use crate::Result;
use crate::fit::{aged, pair};
use crate::metrics::{baseline, scores};
use crate::network::Network;

/// Measures a network on the test split; gives its scores, and the predictions as CSV.
///
/// # Errors
/// If reading the data set fails.
pub fn evaluate(
    dataset: &Dataset,
    network: &Network,
    mean_age: f64,
) -> Result<(Evaluation, String)> {
    let test = aged(dataset, Split::Test, Order::Stored, Columns::All);
    let predicted = network.predict(test)?;
    let pairs: Vec<_> = predicted.iter().filter_map(pair).collect();
    let evaluation = SplitEvaluation {
        all: scores(&pairs),
        baseline: baseline(&pairs, mean_age),
        by_age_band: cells(&predicted, mean_age, |sample| band(sample.recording.age_years)),
        by_gender: cells(&predicted, mean_age, |sample| match sample.recording.gender() {
            Gender::Unspecified => "unknown",
            gender => gender.text().unwrap_or_default(),
        }),
    };
    Ok((Evaluation { test: evaluation }, table(&predicted)))
}

fn band(age: Option<f64>) -> &'static str {
    match age.unwrap_or_default() {
        age if age < 20.0 => "under 20",
        age if age < 30.0 => "20 to 29",
        age if age < 40.0 => "30 to 39",
        age if age < 50.0 => "40 to 49",
        age if age < 60.0 => "50 to 59",
        _ => "60 and over",
    }
}

fn cells(
    predicted: &[(Sample, f64)],
    mean_age: f64,
    name: impl Fn(&Sample) -> &'static str,
) -> Vec<Cell> {
    let mut parts: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for prediction in predicted {
        parts.entry(name(&prediction.0)).or_default().extend(pair(prediction));
    }
    let mut cells: Vec<_> = parts.into_iter().collect();
    // "under 20" comes before "20 to 29".
    cells.sort_by_key(|(name, _)| !name.starts_with("under"));
    cells
        .into_iter()
        .map(|(name, pairs)| Cell {
            name: name.into(),
            scores: scores(&pairs),
            baseline: baseline(&pairs, mean_age),
        })
        .collect()
}

/// The predictions as CSV, in the order of the data set.
fn table(predicted: &[(Sample, f64)]) -> String {
    let quote = |text: &str| {
        if text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut csv = "id,age,predicted,gender,speaker\n".to_owned();
    for (Sample { recording, .. }, age) in predicted {
        let _ = writeln!(
            csv,
            "{},{},{age:.4},{},{}",
            quote(&recording.id),
            recording.age_years.unwrap_or_default(),
            recording.gender().text().unwrap_or_default(),
            quote(&recording.speaker),
        );
    }
    csv
}
