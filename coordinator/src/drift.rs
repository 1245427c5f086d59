//! How far one sealed version of a data set is from another: whether what comes in is still
//! what the model was made for.
//!
//! Numbers are compared by the population stability index over the tenths of the reference
//! (Siddiqi 2006) and by the two-sample Kolmogorov-Smirnov statistic, words by the index over
//! their values. Of two samples of the same, the index is about (1/n + 1/m) times a χ² of
//! bins − 1 degrees of freedom; what is above its mean and two deviations is what counts.
//!
//! Always holds: memory is that of 20,000 rows a version, drawn from a larger one by a
//! seed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use voxage_contract::{Rng, SealedManifest, keys};
use voxage_shards::{Columns, Row};
use voxage_transport::Store;

use crate::survey::{READERS, table};
use crate::{Error, Result};

/// An index above chance that is worth a warning, as the field has it.
pub const WARN_PSI: f64 = 0.2;

/// Rows of a version that are compared, at most.
const MOST_ROWS: usize = 20_000;

/// Bins of the numbers.
const BINS: usize = 10;

/// Share of a bin that nothing is in, so that the index is a number.
const EMPTY: f64 = 1e-4;

/// How far a version is from another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Key of the reference's manifest.
    pub reference: String,
    /// Key of the manifest that is compared with it.
    pub manifest: String,
    /// Share of the recordings that were rejected, of both.
    pub reject_rates: [f64; 2],
    /// Everything that was compared, the farthest first.
    pub columns: Vec<Column>,
}

/// How far a column is from the reference's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The population stability index.
    pub psi: f64,
    /// What of it may be chance.
    pub chance: f64,
    /// The Kolmogorov-Smirnov statistic, of numbers.
    pub ks: Option<f64>,
}

impl Column {
    /// Whether it is far enough for a warning.
    #[must_use]
    pub fn warns(&self) -> bool {
        self.psi - self.chance > WARN_PSI
    }
}

impl Drift {
    /// Warnings in words; empty if all is as it was.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut all: Vec<_> = self
            .columns
            .iter()
            .filter(|column| column.warns())
            .map(|column| format!("{}: PSI {:.2}", column.name, column.psi))
            .collect();
        let [before, now] = self.reject_rates;
        if now > 2.0 * before + 0.01 {
            all.push(format!("rejects: {:.1} % after {:.1} %", 100.0 * now, 100.0 * before));
        }
        all
    }
}

/// What is looked at, of some rows.
#[derive(Debug, Default)]
struct Sample {
    numbers: BTreeMap<String, Numbers>,
    words: BTreeMap<&'static str, Vec<String>>,
    rejects: f64,
}

/// A column of numbers.
#[derive(Debug, Default)]
struct Numbers {
    known: Vec<f64>,
    missing: usize,
}

/// Compares two sealed manifests.
///
/// # Errors
/// If a shard is damaged, or the store fails.
pub async fn drift(store: &dyn Store, reference: &str, manifest: &str) -> Result<Drift> {
    let (before, now) = (sample(store, reference).await?, sample(store, manifest).await?);
    let mut columns = Vec::new();
    for (name, now) in &now.numbers {
        let Some(before) = before.numbers.get(name) else { continue };
        columns.extend(of_numbers(name, &before.known, &now.known));
        columns.extend(of_missing(name, before, now));
    }
    for (name, now) in &now.words {
        let Some(before) = before.words.get(name) else { continue };
        columns.push(of_words(name, before, now));
    }
    columns.sort_by(|a, b| (b.psi - b.chance).total_cmp(&(a.psi - a.chance)));
    Ok(Drift {
        reference: reference.to_owned(),
        manifest: manifest.to_owned(),
        reject_rates: [before.rejects, now.rejects],
        columns,
    })
}

/// The rows of a sealed version, or so many drawn from them.
async fn sample(store: &dyn Store, manifest: &str) -> Result<Sample> {
    let bytes = store.get(manifest).await?;
    let sealed: SealedManifest =
        serde_json::from_slice(&bytes).map_err(|error| Error::damaged(manifest, error))?;
    let names: Vec<&str> = sealed.spec.columns().map(|column| column.name).collect();
    let (mut rng, mut seen, mut rows) = (Rng::new(&[0xD21F]), 0, Vec::new());
    let read = sealed.shards.iter().map(async |shard| {
        let key = keys::shard(&sealed.dataset, &sealed.spec_id, &shard.id);
        let table = table(store, &key, shard.bytes).await?;
        let replaced: HashSet<u32> = shard.replaced.iter().copied().collect();
        let read = spawn_blocking(move || {
            let rows = (0..).zip(table.rows(Columns::Table)?);
            let counts = rows.filter(|(i, _)| !replaced.contains(i));
            counts.map(|(_, row)| row).collect::<Result<Vec<Row>, _>>()
        });
        read.await?.map_err(|error| Error::damaged(&key, error))
    });
    let mut read = stream::iter(read.collect::<Vec<_>>()).buffered(READERS);
    while let Some(of_shard) = read.try_next().await? {
        for row in of_shard {
            if row.outcome.is_err() {
                continue;
            }
            seen += 1;
            if rows.len() < MOST_ROWS {
                rows.push(row);
            } else if let Some(place) = rows.get_mut(rng.below(seen)) {
                *place = row;
            }
        }
    }
    let mut sample = Sample {
        rejects: sealed.rejects as f64 / sealed.submitted.max(1) as f64,
        ..Sample::default()
    };
    for row in rows {
        let Ok(features) = row.outcome else { continue };
        let mut number = |name: &str, value: Option<f64>| {
            let known = value.filter(|value| value.is_finite());
            let numbers = sample.numbers.entry(name.to_owned()).or_default();
            numbers.missing += usize::from(known.is_none());
            numbers.known.extend(known);
        };
        number("age", row.recording.age_years);
        number("duration_s", Some(features.audio.duration_s));
        for (name, value) in names.iter().zip(features.tabular) {
            number(name, value);
        }
        let words = [
            ("gender", row.recording.gender().text().unwrap_or("unknown").to_owned()),
            ("codec", features.audio.codec),
            ("sample_rate_hz", features.audio.sample_rate_hz.to_string()),
        ];
        for (name, word) in words {
            sample.words.entry(name).or_default().push(word);
        }
    }
    Ok(sample)
}

fn of_numbers(name: &str, before: &[f64], now: &[f64]) -> Option<Column> {
    if before.is_empty() || now.is_empty() {
        return None;
    }
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (before, now) = (sorted(before), sorted(now));
    // Of many equal values, some tenths are one.
    let edges: Vec<f64> = (1..BINS).map(|tenth| before[tenth * before.len() / BINS]).collect();
    let above = edges.into_iter().filter(|edge| *edge > before[0]);
    let mut edges: Vec<f64> = above.collect();
    edges.dedup();
    if edges.is_empty() {
        // All the same: what is less, it, and what is more.
        edges = vec![before[0], before[0].next_up()];
    }
    let below = |values: &[f64], edge: f64| values.partition_point(|value| *value < edge);
    let counts = |values: &[f64]| {
        let cuts = edges.iter().map(|edge| below(values, *edge)).chain([values.len()]);
        let mut last = 0;
        cuts.map(|cut| cut - std::mem::replace(&mut last, cut)).collect::<Vec<_>>()
    };
    let (psi, chance) = index(&counts(&before), &counts(&now));
    let share = |values: &[f64], x: f64| {
        values.partition_point(|value| *value <= x) as f64 / values.len() as f64
    };
    let apart = before.iter().chain(&now).map(|x| (share(&before, *x) - share(&now, *x)).abs());
    Some(Column { name: name.into(), psi, chance, ks: apart.reduce(f64::max) })
}

/// Whether as many rows lack the column as before; nothing if none ever did.
fn of_missing(name: &str, before: &Numbers, now: &Numbers) -> Option<Column> {
    let counts = |numbers: &Numbers| [numbers.known.len(), numbers.missing];
    let (psi, chance) = index(&counts(before), &counts(now));
    let any = before.missing + now.missing > 0;
    any.then(|| Column { name: format!("{name} missing"), psi, chance, ks: None })
}

fn of_words(name: &str, before: &[String], now: &[String]) -> Column {
    let all: BTreeSet<&String> = before.iter().chain(now).collect();
    let counts = |words: &[String]| {
        all.iter()
            .map(|word| words.iter().filter(|other| other == word).count())
            .collect::<Vec<_>>()
    };
    let (psi, chance) = index(&counts(before), &counts(now));
    Column { name: name.into(), psi, chance, ks: None }
}

/// The population stability index of counts in the same bins, and what of it is chance.
fn index(before: &[usize], now: &[usize]) -> (f64, f64) {
    let total = |counts: &[usize]| counts.iter().sum::<usize>().max(1) as f64;
    let (n, m) = (total(before), total(now));
    let each = before.iter().zip(now).map(|(before, now)| {
        let (p, q) = ((*before as f64 / n).max(EMPTY), (*now as f64 / m).max(EMPTY));
        (q - p) * (q / p).ln()
    });
    let freedom = before.len() as f64 - 1.0;
    (each.sum(), (freedom + 2.0 * (2.0 * freedom).sqrt()) * (1.0 / n + 1.0 / m))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(seed: u64, n: usize, from: f64, to: f64) -> Vec<f64> {
        let mut rng = Rng::new(&[seed]);
        (0..n)
            .map(|_| from + (to - from) * rng.below(1 << 20) as f64 / f64::from(1 << 20))
            .collect()
    }

    #[test]
    fn the_index_and_the_statistic_are_those_of_the_formulas() {
        // Half of the values moved from the lower half to the upper: p = .5, .5, q = .25, .75.
        let (psi, chance) = index(&[50, 50], &[25, 75]);
        assert!((psi - (-0.25 * 0.5f64.ln() + 0.25 * 1.5f64.ln())).abs() < 1e-12);
        assert!((chance - (1.0 + 2.0 * 2f64.sqrt()) * 0.02).abs() < 1e-12);
        // scipy.stats.ks_2samp([1, 2, 3, 4], [3, 4, 5, 6]).statistic
        let column = of_numbers("x", &[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(column.ks, Some(0.5));
    }

    #[test]
    fn a_column_that_goes_missing_warns() {
        let numbers = |known, missing| Numbers { known: uniform(1, known, 0.0, 1.0), missing };
        let gone = of_missing("num_words", &numbers(200, 0), &numbers(0, 200)).unwrap();
        assert!(gone.warns() && gone.name == "num_words missing", "{gone:?}");
        assert!(!of_missing("f0_sd", &numbers(190, 10), &numbers(188, 12)).unwrap().warns());
        assert_eq!(of_missing("age", &numbers(9, 0), &numbers(9, 0)), None);
    }

    #[test]
    fn chance_does_not_warn_and_a_shift_does() {
        for n in [30, 100, 2000] {
            let (a, b) = (uniform(1, n, 20.0, 70.0), uniform(2, n, 20.0, 70.0));
            let same = of_numbers("age", &a, &b).unwrap();
            assert!(!same.warns(), "{n}: {same:?}");
            let shifted = of_numbers("age", &a, &uniform(3, n, 40.0, 90.0)).unwrap();
            assert!(shifted.warns(), "{n}: {shifted:?}");
        }
        let words = |mp3: usize| {
            (0..100).map(|i| if i < mp3 { "mp3" } else { "pcm" }.to_owned()).collect::<Vec<_>>()
        };
        assert!(!of_words("codec", &words(50), &words(52)).warns());
        assert!(of_words("codec", &words(50), &words(100)).warns());
    }

    #[test]
    fn many_equal_values_are_one_bin() {
        let (a, b) = (vec![0.0; 50], vec![0.0; 40]);
        let same = of_numbers("pauses", &a, &b).unwrap();
        assert_eq!((same.psi, same.ks), (0.0, Some(0.0)));
        assert!(of_numbers("pauses", &a, &[1.0; 40]).unwrap().warns());
    }
}
