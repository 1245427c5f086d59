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
    let predicted = predicted(dataset, estimator, Split::Test, loader_threads, About::of)?;
    let pairs: Vec<_> = predicted.iter().map(|(one, estimate)| (one.age, estimate.age)).collect();
    let evaluation = SplitEvaluation {
        all: scores(&pairs),
        baseline: baseline(&pairs, mean_age),
        by_age_band: cells(&predicted, mean_age, |one| AGE_BANDS[age_band(one.age)]),
        by_gender: cells(&predicted, mean_age, |one| match one.gender {
            Gender::Unspecified => "unknown",
            gender => gender.text().unwrap_or_default(),
        }),
    };
    Ok((Evaluation { test: evaluation, ridge: None }, table(&predicted, conformal)))
}

/// A recording of which the age is known.
struct About {
    id: String,
    speaker: String,
    gender: Gender,
    age: f64,
    duration_s: f64,
}

impl About {
    fn of(sample: &Sample) -> Self {
        Self {
            id: sample.id().to_owned(),
            speaker: sample.speaker().to_owned(),
            gender: sample.gender(),
            age: age(sample),
            duration_s: sample.mel().n_frames as f64 * FRAME_S,
        }
    }
}

/// The age of a sample that counts, in years.
pub(crate) fn age(sample: &Sample) -> f64 {
    sample.age_years().unwrap_or_default()
}

/// Predicts a split, in the order in which it is stored; of its samples nothing is kept but
/// what `about` says.
pub(crate) fn predicted<A: Send + 'static>(
    dataset: &Dataset,
    estimator: &dyn Estimates,
    split: Split,
    loader_threads: usize,
    about: impl Fn(&Sample) -> A + Send + Sync + 'static,
) -> Result<Vec<(A, Estimate)>> {
    let pass = Pass { split, order: Order::Stored, columns: Columns::All, start: 0 };
    let taker = estimator.taker();
    let batches = dataset.batches(pass, BATCH, loader_threads, move |_, samples| {
        let mut taken = taker.start(samples.len());
        let take = |sample| {
            taken.push(&Example::from(&sample));
            about(&sample)
        };
        let about: Vec<_> = samples.map(take).collect();
        (taken, about)
    });
    let mut all = Vec::new();
    for batch in batches {
        let (taken, about) = batch?;
        all.extend(about.into_iter().zip(estimator.estimates(&taken)?));
    }
    Ok(all)
}

fn cells(
    predicted: &[(About, Estimate)],
    mean_age: f64,
    name: impl Fn(&About) -> &'static str,
) -> Vec<Cell> {
    let mut parts: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for (one, estimate) in predicted {
        parts.entry(name(one)).or_default().push((one.age, estimate.age));
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
fn table(predicted: &[(About, Estimate)], conformal: Option<&Conformal>) -> String {
    let quote = |text: &str| {
        if text.contains(['"', ',', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut csv = "id,age,predicted,low,high,spread,gender,speaker,duration_s\n".to_owned();
    for (About { id, speaker, gender, age, duration_s }, estimate) in predicted {
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
