//! What a training may know of the recordings that it is tested on, though speakers are
//! kept apart: one voice under two names.
//!
//! Always holds: only pairs are told of that stand on both sides of some fold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Case;

/// Pairs of a kind that are listed; all are counted.
const LISTED: usize = 50;

/// Recordings up to which all pairs are compared by their features.
const COMPARED: usize = 10_000;

/// Embeddings with a cosine above this are of one recording, or nearly.
const COSINE: f64 = 0.98;

/// Tables are of one recording, or nearly, if this share of their values...
const SHARE: f64 = 0.55;

/// ... differs by less than this many standard deviations: loudness, a codec or a cut changes
/// some values much and leaves the others.
const APART: f64 = 0.03;

/// Values that two tables must both have to be compared.
const LEAST_VALUES: usize = 5;

/// What may have leaked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Leaks {
    /// Pairs of recordings on both sides of a fold, the first of each kind.
    pub pairs: Vec<Leak>,
    /// Names of speakers on both sides that differ in case or spaces only.
    pub speakers_alike: u64,
    /// Pairs with the same audio.
    pub same_audio: u64,
    /// Pairs whose features are nearly the same; none if there are too many recordings to
    /// compare all.
    pub near: Option<u64>,
    /// Recordings without a speaker: whether they share one is not known.
    pub nameless: u64,
}

/// Two recordings on both sides of a fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// What they share.
    pub what: String,
    /// Their ids.
    pub ids: [String; 2],
}

impl Leaks {
    /// What a person should know, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let near = self.near.unwrap_or(0);
        let counts = [
            (
                self.speakers_alike,
                "pairs of speakers' names, one learned from and one tested on, differ in case or spaces only: give each speaker one name",
            ),
            (
                self.same_audio,
                "pairs of recordings, one learned from and one tested on, have the same audio: leave one of each out",
            ),
            (
                near,
                "pairs of recordings, one learned from and one tested on, have nearly the same features: they may be one recording",
            ),
            (
                self.nameless,
                "recordings name no speaker: if some share one, scores are better than they should be",
            ),
        ];
        let some = counts.into_iter().filter(|(count, _)| *count > 0);
        some.map(|(count, what)| format!("{count} {what}")).collect()
    }
}

/// Looks for leaks among the cases.
pub(crate) fn leaks(cases: &[Case]) -> Leaks {
    let nameless = cases.iter().filter(|case| case.recording.speaker.is_empty()).count() as u64;
    let mut leaks = Leaks { nameless, ..Leaks::default() };
    let mut names: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    let mut sounds: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        let words: Vec<_> = case.speaker().split_whitespace().collect();
        let named = names.entry(words.join(" ").to_lowercase()).or_default();
        if named.iter().all(|other| other.speaker() != case.speaker()) {
            named.push(case);
        }
        sounds.entry(&case.audio_sha256).or_default().push(case);
    }
    leaks.speakers_alike =
        listed(&mut leaks.pairs, "a speaker's name but for case or spaces", pairs(&names));
    leaks.same_audio = listed(&mut leaks.pairs, "the audio", pairs(&sounds));
    if cases.len() <= COMPARED {
        let near = near(cases).filter(|(a, b)| a.audio_sha256 != b.audio_sha256);
        leaks.near = Some(listed(&mut leaks.pairs, "nearly all features", near));
    }
    leaks
}

/// Whether what is learned from one may tell of the other: one is tested by a fold that the
/// other's speaker is not held out by.
fn crosses(a: &Case, b: &Case) -> bool {
    a.fold != b.fold && a.speaker() != b.speaker()
}

fn pairs<'a, K>(groups: &BTreeMap<K, Vec<&'a Case>>) -> impl Iterator<Item = (&'a Case, &'a Case)> {
    let of_group = |group: &Vec<&'a Case>| {
        let group = group.clone();
        (0..group.len()).flat_map(move |i| {
            let (one, others) = (group[i], group[i + 1..].to_vec());
            others.into_iter().map(move |other| (one, other))
        })
    };
    groups.values().flat_map(of_group)
}

fn listed<'a>(
    list: &mut Vec<Leak>,
    what: &str,
    pairs: impl Iterator<Item = (&'a Case, &'a Case)>,
) -> u64 {
    let mut count = 0;
    for (a, b) in pairs.filter(|(a, b)| crosses(a, b)) {
        count += 1;
        if count <= LISTED {
            let ids = [a.recording.id.clone(), b.recording.id.clone()];
            list.push(Leak { what: what.to_owned(), ids });
        }
    }
    count as u64
}

/// Pairs with nearly the same features.
fn near(cases: &[Case]) -> impl Iterator<Item = (&Case, &Case)> {
    let tables = standardised(cases);
    let embeddings: Vec<_> =
        cases.iter().map(|case| case.embedding.as_deref().map(unit).unwrap_or_default()).collect();
    (0..cases.len()).flat_map(move |i| {
        let alike = |j: &usize| {
            let products = embeddings[i].iter().zip(&embeddings[*j]).map(|(a, b)| a * b);
            products.sum::<f64>() > COSINE || alike(&tables[i], &tables[*j])
        };
        let others: Vec<_> = (i + 1..cases.len()).filter(alike).collect();
        others.into_iter().map(move |j| (&cases[i], &cases[j]))
    })
}

fn unit(numbers: &[f32]) -> Vec<f64> {
    let length = numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    numbers.iter().map(|x| f64::from(*x) / length.max(1e-12)).collect()
}

/// Each table with a mean of 0 and a deviation of 1 in every column; no number where there
/// is none, or where all have the same.
fn standardised(cases: &[Case]) -> Vec<Vec<f64>> {
    let columns = cases.first().map_or(0, |case| case.table.len());
    let scales: Vec<_> = (0..columns)
        .map(|column| {
            let values: Vec<f64> = cases.iter().filter_map(|case| case.table[column]).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            (mean, if deviation > 0.0 { deviation } else { f64::NAN })
        })
        .collect();
    let scaled = |(value, (mean, deviation)): (&Option<f64>, &(f64, f64))| {
        value.map_or(f64::NAN, |value| (value - mean) / deviation)
    };
    cases.iter().map(|case| case.table.iter().zip(&scales).map(scaled).collect()).collect()
}

/// Whether most values differ little, of those that both have, if these are not too few.
fn alike(a: &[f64], b: &[f64]) -> bool {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs()).filter(|x| !x.is_nan());
    let (n, near) = differences.fold((0, 0), |(n, near), x| (n + 1, near + usize::from(x < APART)));
    n >= LEAST_VALUES && near as f64 >= SHARE * n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::{Recording, Rng};

    /// Cases of two folds with features at random.
    fn cases(n: usize, embedded: bool) -> Vec<Case> {
        let mut rng = Rng::new(&[7]);
        let mut number = move || rng.below(1_000_000) as f64 / 1e6 - 0.5;
        let case = |i: usize| Case {
            recording: Recording {
                id: format!("r{i}"),
                speaker: format!("s{i}"),
                ..Recording::default()
            },
            audio_sha256: format!("{i:064x}"),
            table: (0..14).map(|_| Some(number())).collect(),
            embedding: embedded.then(|| (0..64).map(|_| number() as f32).collect()),
            fold: Some(i % 2),
            ..Case::default()
        };
        (0..n).map(case).collect()
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        for embedded in [false, true] {
            assert_eq!(leaks(&cases(100, embedded)), Leaks { near: Some(0), ..Leaks::default() });
        }
    }

    #[test]
    fn planted_leaks_are_found_with_their_ids() {
        let mut cases = cases(100, false);
        cases[3].recording.speaker = " S4".into();
        cases[11].audio_sha256 = cases[20].audio_sha256.clone();
        // A louder copy in another format: a third of the values are others, the rest nearly same.
        let value = |(i, x): (usize, &Option<f64>)| x.map(|x| x + if i < 5 { 0.5 } else { 0.005 });
        cases[31].table = cases[40].table.iter().enumerate().map(value).collect();
        // In the same fold it does not matter.
        cases[50].audio_sha256 = cases[60].audio_sha256.clone();
        // Nor if it is one speaker.
        cases[70].audio_sha256 = cases[71].audio_sha256.clone();
        cases[70].recording.speaker = cases[71].recording.speaker.clone();
        cases[80].recording.speaker = String::new();
        let found = leaks(&cases);
        let ids: Vec<_> = found.pairs.iter().map(|leak| leak.ids.join(" ")).collect();
        assert_eq!(ids, ["r3 r4", "r11 r20", "r31 r40"]);
        assert_eq!((found.speakers_alike, found.same_audio, found.near), (1, 1, Some(1)));
        assert_eq!((found.nameless, found.warnings().len()), (1, 4));
    }

    #[test]
    fn a_copy_with_another_level_is_found_by_its_embedding() {
        let mut cases = cases(100, true);
        let copy = cases[10].embedding.iter().flatten().map(|x| 3.0 * x + 0.005).collect();
        cases[21].embedding = Some(copy);
        let found = leaks(&cases);
        assert_eq!(found.near, Some(1));
        assert_eq!(found.pairs[0].ids, ["r10", "r21"]);
    }
}
