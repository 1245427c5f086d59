//! What the training rows say about the inputs: their ranges, and what stands for a
//! missing one.
//!
//! Always holds: only training rows are looked at. Memory is bounded: quantiles are those
//! of at most 65,536 rows, drawn evenly.

use serde::{Deserialize, Serialize};
use voxage_contract::training::Scaling;
use voxage_contract::{FeatureSpec, Gender};
use voxage_dataset::{Norm, Rng};

use crate::inputs::Example;

/// Rows that quantiles are taken of.
const RESERVOIR_ROWS: usize = 1 << 16;

/// Robust scaling clips at this many interquartile ranges from the median.
const CLIP: f64 = 3.0;

/// From raw inputs to a network's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    /// Least cell of a training spectrogram, in dB: becomes 0.
    pub mel_min_db: f32,
    /// Greatest cell of a training spectrogram, in dB: becomes 1.
    pub mel_max_db: f32,
    /// The table: the spec's columns, then gender (female 0, male 1).
    pub inputs: Vec<Input>,
    /// Numbers of the embedding that follow the table; 0 for none.
    #[serde(default)]
    pub embedding: usize,
}

/// One input of the table: `(value - offset) * factor`, clipped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Its column.
    pub name: String,
    /// What becomes 0.
    pub offset: f64,
    /// Scaled units for one raw unit; 0 for a column that never varied.
    pub factor: f64,
    /// Greatest magnitude after scaling, if any.
    pub clip: Option<f64>,
    /// Stands for a missing value: the training median. None if no training row has the
    /// column: the input is then always 0.
    pub impute: Option<f64>,
}

impl Input {
    /// From the values that were drawn, in any order, and the least and greatest of all.
    fn fit(name: &str, values: &mut [f64], extremes: (f64, f64), scaling: Scaling) -> Self {
        let mut input =
            Self { name: name.into(), offset: 0.0, factor: 0.0, clip: None, impute: None };
        if values.is_empty() {
            return input;
        }
        values.sort_unstable_by(f64::total_cmp);
        let quantile = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
        input.impute = Some(quantile(0.5));
        let unit = match scaling {
            Scaling::MinMax => {
                input.offset = extremes.0;
                extremes.1 - extremes.0
            }
            Scaling::Robust => {
                (input.offset, input.clip) = (quantile(0.5), Some(CLIP));
                quantile(0.75) - quantile(0.25)
            }
        };
        if unit > 0.0 {
            input.factor = unit.recip();
        }
        input
    }

    fn scale(&self, value: Option<f64>) -> f32 {
        let Some(value) = value.or(self.impute) else { return 0.0 };
        let scaled = (value - self.offset) * self.factor;
        self.clip.map_or(scaled, |clip| scaled.clamp(-clip, clip)) as f32
    }
}

impl Scaler {
    /// From dB to what a network takes.
    #[must_use]
    pub fn norm(&self) -> Norm {
        Norm::between(self.mel_min_db, self.mel_max_db)
    }

    /// The scaled table of a recording, then its embedding.
    pub fn table(&self, example: &Example<'_>) -> impl Iterator<Item = f32> {
        let table = self.inputs.iter().zip(raw(example)).map(|(input, value)| input.scale(value));
        // Embeddings have length 1: this brings their numbers to about 1.
        let factor = (self.embedding as f32).sqrt();
        let embedding = example.embedding.unwrap_or_default();
        let number = move |i| embedding.get(i).map_or(0.0, |number: &f32| number * factor);
        table.chain((0..self.embedding).map(number))
    }

    /// The inputs that a recording lacks and something usual stands for.
    pub fn imputed(&self, example: &Example<'_>) -> impl Iterator<Item = &str> {
        let lacks = self.embedding > 0 && example.embedding.is_none();
        let inputs = self.inputs.iter().zip(raw(example));
        inputs
            .filter(|(input, raw)| raw.is_none() && input.impute.is_some())
            .map(|(input, _)| input.name.as_str())
            .chain(lacks.then_some("embedding"))
    }
}

/// The table of a recording as it is: the spec's columns, then gender.
fn raw(example: &Example<'_>) -> impl Iterator<Item = Option<f64>> {
    let gender = match example.gender {
        Gender::Unspecified => None,
        Gender::Female => Some(0.0),
        Gender::Male => Some(1.0),
    };
    example.tabular.iter().copied().chain([gender])
}

/// Gathers what a [`Scaler`] is made of, row by row.
#[derive(Debug)]
pub struct Fitting {
    rows: usize,
    mel_min_db: f32,
    mel_max_db: f32,
    reservoir: Vec<Vec<Option<f64>>>,
    extremes: Vec<(f64, f64)>,
    rng: Rng,
}

impl Fitting {
    /// Nothing gathered yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rows: 0,
            mel_min_db: f32::INFINITY,
            mel_max_db: f32::NEG_INFINITY,
            reservoir: Vec::new(),
            extremes: Vec::new(),
            rng: Rng::new(&[seed, 0x5CA1E]),
        }
    }

    /// Takes in one training row.
    pub fn add(&mut self, example: &Example<'_>) {
        let (min, max) = example.mel.range_db();
        self.mel_min_db = self.mel_min_db.min(min);
        self.mel_max_db = self.mel_max_db.max(max);
        let row: Vec<_> = raw(example).collect();
        self.extremes.resize(row.len(), (f64::INFINITY, f64::NEG_INFINITY));
        for ((min, max), value) in self.extremes.iter_mut().zip(&row) {
            if let Some(value) = value {
                (*min, *max) = (min.min(*value), max.max(*value));
            }
        }
        self.rows += 1;
        if self.reservoir.len() < RESERVOIR_ROWS {
            self.reservoir.push(row);
        } else {
            // Vitter's algorithm R: every row so far is kept with the same probability.
            let place = self.rng.below(self.rows);
            if let Some(kept) = self.reservoir.get_mut(place) {
                *kept = row;
            }
        }
    }

    /// The scaler of the rows taken in, for networks that take so many numbers of an embedding;
    /// none if there were none.
    #[must_use]
    pub fn finish(self, spec: &FeatureSpec, scaling: Scaling, embedding: usize) -> Option<Scaler> {
        if self.rows == 0 {
            return None;
        }
        let names = spec.columns().map(|column| column.name).chain(["gender"]);
        let columns = names.zip(&self.extremes).enumerate();
        let inputs = columns.map(|(i, (name, extremes))| {
            let mut values: Vec<_> = self.reservoir.iter().filter_map(|row| row[i]).collect();
            Input::fit(name, &mut values, *extremes, scaling)
        });
        Some(Scaler {
            inputs: inputs.collect(),
            mel_min_db: self.mel_min_db,
            mel_max_db: self.mel_max_db,
            embedding,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::{Mel, MelStorage, N_MELS};

    /// An example whose first column and gender are known, of a spectrogram of one level.
    fn example(mean_pitch: Option<f64>, gender: Gender, mel: &Mel) -> Example<'_> {
        let mut tabular = vec![None; FeatureSpec::default().columns().count()];
        tabular[0] = mean_pitch;
        Example { gender, tabular, embedding: None, mel: mel.view() }
    }

    fn mel(db: f32) -> Mel {
        Mel::encode(&[db; N_MELS], MelStorage::U8)
    }

    fn fit(scaling: Scaling, pitches: &[Option<f64>]) -> Scaler {
        let mut fitting = Fitting::new(1);
        for (i, pitch) in pitches.iter().enumerate() {
            fitting.add(&example(*pitch, Gender::Female, &mel(i as f32)));
        }
        fitting.finish(&FeatureSpec::default(), scaling, 0).unwrap()
    }

    fn scaled(scaler: &Scaler, pitch: Option<f64>) -> f32 {
        scaler.table(&example(pitch, Gender::Female, &mel(0.0))).next().unwrap()
    }

    #[test]
    fn min_max_spans_the_training_rows_and_does_not_clip() {
        let scaler = fit(Scaling::MinMax, &[Some(100.0), Some(200.0), Some(300.0), None]);
        assert_eq!(
            [100.0, 300.0, 500.0].map(|pitch| scaled(&scaler, Some(pitch))),
            [0.0, 1.0, 2.0]
        );
        assert_eq!((scaler.mel_min_db, scaler.mel_max_db), (0.0, 3.0));
    }

    #[test]
    fn robust_scaling_clips_outliers() {
        let pitches: Vec<_> = (0..=100).map(|i| Some(f64::from(i))).collect();
        let scaler = fit(Scaling::Robust, &pitches);
        assert_eq!([50.0, 100.0, 1e9].map(|pitch| scaled(&scaler, Some(pitch))), [0.0, 1.0, 3.0]);
    }

    #[test]
    fn the_median_stands_for_what_is_missing_and_is_named() {
        let scaler = fit(Scaling::MinMax, &[Some(0.0), Some(1.0), Some(10.0)]);
        assert!((scaled(&scaler, None) - 0.1).abs() < 1e-6);
        let mel = mel(0.0);
        let example = example(None, Gender::Unspecified, &mel);
        let imputed: Vec<_> = scaler.imputed(&example).collect();
        // The other columns were in no training row: they are no inputs, and not missed.
        assert_eq!(imputed, ["mean_pitch", "gender"]);
        assert!(scaler.table(&example).all(f32::is_finite));
    }

    #[test]
    fn an_embedding_follows_the_table_at_the_scale_of_one() {
        let scaler = Scaler { embedding: 4, ..Scaler::default() };
        let mel = mel(0.0);
        let numbers = [0.5, -0.5, 0.5, 0.5];
        let lacking = example(None, Gender::Female, &mel);
        let with = Example { embedding: Some(&numbers), ..lacking.clone() };
        assert_eq!(scaler.table(&with).collect::<Vec<_>>(), [1.0, -1.0, 1.0, 1.0]);
        assert_eq!(scaler.table(&lacking).collect::<Vec<_>>(), [0.0; 4]);
        assert_eq!(scaler.imputed(&with).count(), 0);
        assert_eq!(scaler.imputed(&lacking).collect::<Vec<_>>(), ["embedding"]);
    }

    #[test]
    fn without_rows_there_is_no_scaler() {
        assert!(Fitting::new(1).finish(&FeatureSpec::default(), Scaling::MinMax, 0).is_none());
    }
}
