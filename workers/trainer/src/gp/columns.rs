//! From a recording to the numbers that a process looks at.
//!
//! Always holds: every recording gets as many numbers as every other; what it lacks is
//! filled with what is usual among the training rows.

use serde::{Deserialize, Serialize};
use tch::Tensor;
use voxage_contract::{FeatureSpec, Gender};

use super::kernel::Shape;
use super::statistics::{DYNAMICS, Statistics, TIMBRE};
use crate::inputs::Example;

/// Columns that spread over orders of magnitude, with what is added before the logarithm.
const LOGARITHMIC: [(&str, f64); 16] = [
    ("jitter", 1e-6),
    ("shimmer", 1e-6),
    ("energy", 1e-6),
    ("zcr_mean", 1e-6),
    ("jitter_local", 1e-6),
    ("shimmer_local", 1e-6),
    ("num_words", 1.0),
    ("num_characters", 1.0),
    ("num_pauses", 1.0),
    ("silence_duration", 1.0),
    ("f0_sd", 1.0),
    ("pause_count", 1.0),
    ("pause_total", 1.0),
    ("pause_mean", 1.0),
    ("audio_length", 1.0),
    ("words_per_s", 1.0),
];

/// Which numbers there are, and what stands for those that are missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Columns {
    /// Whether all that is looked at is the table and the embedding, along straight lines.
    pub(super) linear: bool,
    /// Numbers of the embedding; 0 if the spec has none.
    embedding: usize,
    /// The spec's columns.
    table: Vec<String>,
    /// What stands for a missing number, one for each, none where no training row has it; empty
    /// until they are known.
    usual: Vec<Option<f64>>,
}

/// The numbers of one recording: embedding, dynamics, timbre, table, gender.
pub type Row = Vec<f64>;

impl Columns {
    /// The columns of a spec; only those of the table and the embedding, along straight
    /// lines, if it is to be `linear`.
    #[must_use]
    pub fn of(spec: &FeatureSpec, linear: bool) -> Self {
        let embedding = spec.embedding.units();
        let table = spec.columns().map(|column| column.name.to_owned()).collect();
        Self { linear, embedding, table, usual: Vec::new() }
    }

    /// The groups, with the number of columns of each.
    #[must_use]
    pub fn groups(&self) -> Vec<(&'static str, Shape, usize)> {
        let shape = if self.linear { Shape::Linear } else { Shape::Smooth };
        let of_spectrogram = |width| if self.linear { 0 } else { width };
        let all = [
            ("embedding", shape, self.embedding),
            ("dynamics", shape, of_spectrogram(DYNAMICS)),
            ("timbre", shape, of_spectrogram(TIMBRE)),
            ("table", shape, self.table.len()),
            ("gender", Shape::Linear, 1),
        ];
        all.into_iter().filter(|(_, _, width)| *width > 0).collect()
    }

    /// The numbers of a recording; those that it lacks are no numbers.
    #[must_use]
    pub fn row(&self, example: &Example<'_>) -> Row {
        let mut row = Row::new();
        match example.embedding {
            Some(embedding) => row.extend(embedding.iter().map(|x| f64::from(*x))),
            None => row.resize(self.embedding, f64::NAN),
        }
        if !self.linear {
            let statistics = Statistics::of(example.mel);
            row.extend(statistics.dynamics);
            row.extend(statistics.timbre);
        }
        row.extend(self.table.iter().zip(&example.tabular).map(|(name, value)| {
            // The mean of pauses that are not there.
            let value = value.or((name == "pause_mean").then_some(0.0));
            let logarithmic = LOGARITHMIC.iter().find(|(logarithmic, _)| logarithmic == name);
            let scaled = value.map(|value| match logarithmic {
                Some((_, added)) => (value.max(0.0) + added).ln(),
                None => value,
            });
            scaled.unwrap_or(f64::NAN)
        }));
        row.push(match example.gender {
            Gender::Unspecified => f64::NAN,
            Gender::Female => 0.0,
            Gender::Male => 1.0,
        });
        row
    }

    /// Learns from training rows what is usual: medians.
    pub fn learn(&mut self, rows: &[Row]) {
        let width = rows.first().map_or(0, Vec::len);
        let median = |column: usize| {
            let there = rows.iter().map(|row| row[column]).filter(|x| !x.is_nan());
            let mut there: Vec<f64> = there.collect();
            there.sort_unstable_by(f64::total_cmp);
            there.get(there.len() / 2).copied()
        };
        self.usual = (0..width).map(median).collect();
    }

    fn before_table(&self) -> usize {
        self.embedding + if self.linear { 0 } else { DYNAMICS + TIMBRE }
    }

    /// The names of what a row lacks and something usual stands for.
    #[must_use]
    pub fn lacking(&self, row: &Row) -> Vec<String> {
        let missing = |first: usize| {
            row.get(first).is_some_and(|x| x.is_nan())
                && self.usual.get(first).is_some_and(Option::is_some)
        };
        let embedding = (self.embedding > 0 && missing(0)).then_some("embedding");
        let names = embedding.into_iter();
        let table = self.table.iter().map(String::as_str).chain(["gender"]);
        let table = (self.before_table()..).zip(table);
        let table = table.filter(|(column, _)| missing(*column)).map(|(_, name)| name);
        names.chain(table).map(str::to_owned).collect()
    }

    /// How many numbers a row has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.before_table() + self.table.len() + 1
    }

    /// A row in which what is usual stands for what is missing.
    #[must_use]
    pub fn filled(&self, row: &Row) -> Row {
        let filled = row.iter().zip(&self.usual);
        filled.map(|(x, usual)| if x.is_nan() { usual.unwrap_or(0.0) } else { *x }).collect()
    }

    /// Rows as one tensor a group, `[n, columns]`.
    #[must_use]
    pub fn tensors(&self, rows: &[Row]) -> Vec<Tensor> {
        let mut first = 0;
        let groups = self.groups().into_iter();
        groups
            .map(|(_, _, width)| {
                let columns = first..first + width;
                first += width;
                let cell = |row: &Row, column: usize| {
                    let usual = || self.usual[column].unwrap_or(0.0);
                    if row[column].is_nan() { usual() } else { row[column] }
                };
                let cells: Vec<f64> = rows
                    .iter()
                    .flat_map(|row| columns.clone().map(move |column| cell(row, column)))
                    .collect();
                Tensor::from_slice(&cells).view([rows.len() as i64, width as i64])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::columns::TabularSet;
    use voxage_contract::{Mel, MelStorage};

    #[test]
    fn what_is_missing_is_missing_in_logarithmic_columns_too() {
        let tabular = vec![TabularSet::Compat, TabularSet::Clean];
        let mut columns = Columns::of(&FeatureSpec { tabular, ..FeatureSpec::default() }, true);
        let place = |name: &str| columns.table.iter().position(|other| other == name).unwrap();
        let (words, pause) = (place("num_words"), place("pause_mean"));
        let mel = Mel::encode(&[0.0; 128], MelStorage::F32);
        let mut example = Example {
            gender: Gender::Female,
            tabular: vec![Some(7.0); columns.table.len()],
            embedding: None,
            mel: mel.view(),
        };
        let whole = columns.row(&example);
        (example.tabular[words], example.tabular[pause]) = (None, None);
        let row = columns.row(&example);
        columns.learn(std::slice::from_ref(&whole));
        assert_eq!(columns.lacking(&row), ["num_words"]);
        assert_eq!(columns.filled(&row)[words], whole[words]);
        // A column that no training row has is not missed.
        columns.learn(std::slice::from_ref(&row));
        assert!(columns.lacking(&row).is_empty());
        // Without pauses, their mean is none.
        assert_eq!(row[pause], 0.0);
    }
}
