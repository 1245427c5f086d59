//! How a model does on the speakers that it has not seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use voxage_contract::training::{Cell, Evaluation, SplitEvaluation};
use voxage_contract::{Gender, Split};
use voxage_dataset::{Columns, Dataset, Order, Pass};

use crate::Result;
use crate::inputs::Example;
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
    loader_threads: usize,
) -> Result<(Evaluation, String)> {
    let predicted = predicted(dataset, network, Split::Test, loader_threads)?;
    let pairs: Vec<_> = predicted.iter().map(Predicted::pair).collect();
    let evaluation = SplitEvaluation {
        all: scores(&pairs),
        baseline: baseline(&pairs, mean_age),
        by_age_band: cells(&predicted, mean_age, |predicted| band(predicted.age)),
        by_gender: cells(&predicted, mean_age, |predicted| match predicted.gender {
            Gender::Unspecified => "unknown",
            gender => gender.text().unwrap_or_default(),
        }),
    };
    Ok((Evaluation { test: evaluation }, table(&predicted)))
}

/// A recording of which the age is known, and what a network says.
#[derive(Debug)]
pub(crate) struct Predicted {
    id: String,
    speaker: String,
    gender: Gender,
    age: f64,
    predicted: f64,
}

impl Predicted {
    /// True and predicted age.
    pub(crate) fn pair(&self) -> (f64, f64) {
        (self.age, self.predicted)
    }
}

/// Predicts a split, in the order in which it is stored.
pub(crate) fn predicted(
    dataset: &Dataset,
    network: &Network,
    split: Split,
    loader_threads: usize,
) -> Result<Vec<Predicted>> {
    let pass = Pass { split, order: Order::Stored, columns: Columns::All, start: 0 };
    let inputs = Arc::clone(&network.inputs);
    let batch_size = network.settings.batch_size;
    let batches = dataset.batches(pass, batch_size, loader_threads, move |_, samples| {
        let mut batch = inputs.batch(samples.len());
        let mut about = Vec::with_capacity(samples.len());
        for sample in samples {
            inputs.push(&mut batch, &Example::from(&sample), None);
            about.push(Predicted {
                id: sample.id().to_owned(),
                speaker: sample.speaker().to_owned(),
                gender: sample.gender(),
                age: sample.age_years().unwrap_or_default(),
                predicted: f64::NAN,
            });
        }
        (batch, about)
    });
    let mut all = Vec::new();
    for batch in batches {
        let (batch, about) = batch?;
        let ages = network.ages(&batch)?.into_iter();
        all.extend(
            about.into_iter().zip(ages).map(|(one, predicted)| Predicted { predicted, ..one }),
        );
    }
    Ok(all)
}

fn band(age: f64) -> &'static str {
    match age {
        age if age < 20.0 => "under 20",
        age if age < 30.0 => "20 to 29",
        age if age < 40.0 => "30 to 39",
        age if age < 50.0 => "40 to 49",
        age if age < 60.0 => "50 to 59",
        _ => "60 and over",
    }
}

fn cells(
    predicted: &[Predicted],
    mean_age: f64,
    name: impl Fn(&Predicted) -> &'static str,
) -> Vec<Cell> {
    let mut parts: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for prediction in predicted {
        parts.entry(name(prediction)).or_default().push(prediction.pair());
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
fn table(predicted: &[Predicted]) -> String {
    let quote = |text: &str| {
        if text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut csv = "id,age,predicted,gender,speaker\n".to_owned();
    for Predicted { id, speaker, gender, age, predicted } in predicted {
        let (id, speaker) = (quote(id), quote(speaker));
        let gender = gender.text().unwrap_or_default();
        let _ = writeln!(csv, "{id},{age},{predicted:.4},{gender},{speaker}");
    }
    csv
}
