//! How a model does on the speakers that it has not seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use voxage_contract::scores::{AGE_BANDS, age_band, baseline, scores};
use voxage_contract::training::{Cell, Evaluation, SplitEvaluation};
use voxage_contract::{Gender, Split};
use voxage_dataset::{Columns, Dataset, Order, Pass, Sample};

use crate::Result;
use crate::conformal::Conformal;
use crate::estimator::{Estimate, Estimates};
use crate::inputs::Example;

/// Seconds of a frame of the spectrogram.
const FRAME_S: f64 = 512.0 / 22_050.0;

/// Recordings that are predicted at a time.
const BATCH: usize = 32;

/// Measures an estimator on the test split; gives its scores, and the predictions as CSV.
///
/// # Errors
/// If reading the data set fails.
pub fn evaluate(
    dataset: &Dataset,
    (estimator, conformal): (&dyn Estimates, Option<&Conformal>),
    mean_age: f64,
    loader_threads: usize,
) -> Result<(Evaluation, String)> {
    let predicted = predicted(dataset, estimator, Split::Test, loader_threads)?;
    let pairs: Vec<_> = predicted.iter().map(Predicted::pair).collect();
    let evaluation = SplitEvaluation {
        all: scores(&pairs),
        baseline: baseline(&pairs, mean_age),
        by_age_band: cells(&predicted, mean_age, |one| AGE_BANDS[age_band(one.age)]),
        by_gender: cells(&predicted, mean_age, |predicted| match predicted.gender {
            Gender::Unspecified => "unknown",
            gender => gender.text().unwrap_or_default(),
        }),
    };
    Ok((Evaluation { test: evaluation }, table(&predicted, conformal)))
}

/// A recording of which the age is known, and what an estimator says.
#[derive(Debug, Clone)]
pub(crate) struct Predicted {
    pub id: String,
    pub speaker: String,
    pub gender: Gender,
    pub age: f64,
    pub duration_s: f64,
    pub estimate: Estimate,
}

impl Predicted {
    /// True and predicted age.
    pub(crate) fn pair(&self) -> (f64, f64) {
        (self.age, self.estimate.age)
    }
}

/// Predicts a split, in the order in which it is stored.
pub(crate) fn predicted(
    dataset: &Dataset,
    estimator: &dyn Estimates,
    split: Split,
    loader_threads: usize,
) -> Result<Vec<Predicted>> {
    let pass = Pass { split, order: Order::Stored, columns: Columns::All, start: 0 };
    let taker = estimator.taker();
    let batches = dataset.batches(pass, BATCH, loader_threads, move |_, samples| {
        let mut taken = taker.start(samples.len());
        let about = |sample: Sample| {
            taken.push(&Example::from(&sample));
            Predicted {
                id: sample.id().to_owned(),
                speaker: sample.speaker().to_owned(),
                gender: sample.gender(),
                age: sample.age_years().unwrap_or_default(),
                duration_s: sample.mel().n_frames as f64 * FRAME_S,
                estimate: Estimate { age: f64::NAN, spread: f64::NAN },
            }
        };
        let about: Vec<_> = samples.map(about).collect();
        (taken, about)
    });
    let mut all = Vec::new();
    for batch in batches {
        let (taken, about) = batch?;
        let estimates = estimator.estimates(&taken)?.into_iter();
        all.extend(
            about.into_iter().zip(estimates).map(|(one, estimate)| Predicted { estimate, ..one }),
        );
    }
    Ok(all)
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
fn table(predicted: &[Predicted], conformal: Option<&Conformal>) -> String {
    let quote = |text: &str| {
        if text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut csv = "id,age,predicted,low,high,spread,gender,speaker,duration_s\n".to_owned();
    for Predicted { id, speaker, gender, age, duration_s, estimate } in predicted {
        let (id, speaker) = (quote(id), quote(speaker));
        let gender = gender.text().unwrap_or_default();
        let interval = conformal.map(|conformal| conformal.interval(*estimate));
        let interval = interval.map_or(",".into(), |[low, high]| format!("{low:.4},{high:.4}"));
        let Estimate { age: guess, spread } = estimate;
        let _ = writeln!(
            csv,
            "{id},{age},{guess:.4},{interval},{spread:.4},{gender},{speaker},{duration_s:.2}"
        );
    }
    csv
}
