//! Features of synthetic recordings against what librosa and Praat give for them, and
//! against what this version of the extractor gave before.

mod common;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use common::{recordings, relative_error};
use serde::{Deserialize, Serialize};
use voxage_contract::spec::EXTRACTOR_VERSION;
use voxage_contract::{FeatureSpec, MelStorage, N_MELS};
use voxage_extract::Extractor;

type Tabular = BTreeMap<String, Option<f64>>;

#[derive(Serialize, Deserialize)]
struct Golden {
    n_frames: usize,
    tabular: Tabular,
    /// Every so many frames and bands there is a cell.
    mel_every: usize,
    mel_db: Vec<Vec<f32>>,
}

#[derive(Serialize, Deserialize)]
struct Pinned {
    extractor_version: u32,
    features: BTreeMap<String, Golden>,
}

fn golden_path(name: &str) -> PathBuf {
    Path::new("tests/golden").join(name)
}

fn extract_all(mel_every: usize) -> BTreeMap<String, Golden> {
    let mut spec = FeatureSpec::default();
    spec.mel.storage = MelStorage::F32;
    let mut extractor = Extractor::new(&spec).expect("it has no embedding");
    let mut all = BTreeMap::new();
    for recording in recordings() {
        let wav = Cursor::new(recording.wav());
        let features = extractor.extract(wav, &BTreeMap::new()).expect("it is a sound WAV");
        let names = spec.columns().map(|column| column.name.to_owned());
        let db = features.mel.to_db();
        let frames = db.chunks(N_MELS).step_by(mel_every);
        let mel_db = frames.map(|frame| frame.iter().copied().step_by(mel_every).collect());
        let golden = Golden {
            n_frames: features.mel.n_frames,
            tabular: names.zip(features.tabular).collect(),
            mel_every,
            mel_db: mel_db.collect(),
        };
        all.insert(recording.name.to_owned(), golden);
    }
    all
}

/// Compares features; gives the greatest relative error of a column and the part of the
/// cells that are farther than `mel_db` from each other.
fn compare(name: &str, ours: &Golden, theirs: &Golden, tolerance: f64, mel_db: f32) {
    assert_eq!(ours.n_frames, theirs.n_frames, "{name}");
    for (column, expected) in &theirs.tabular {
        let (found, expected) = (ours.tabular[column], *expected);
        match (found, expected) {
            (Some(found), Some(expected)) => {
                let error = relative_error(found, expected);
                assert!(error <= tolerance, "{name} {column}: {found} is not {expected}");
            }
            _ => assert_eq!(found, expected, "{name} {column}"),
        }
    }
    let cells = || ours.mel_db.iter().flatten().zip(theirs.mel_db.iter().flatten());
    let far = cells().filter(|(a, b)| (*a - *b).abs() > mel_db).count();
    assert!(far * 100 <= cells().count(), "{name}: {far} cells off by more than {mel_db} dB");
}

/// At the features' own rate only rounding differs. From other rates the oracle's
/// resampler ends in a different way, and the cells near the edge of its pass band differ.
#[test]
fn features_are_those_of_librosa_and_praat() {
    let text = std::fs::read_to_string(golden_path("oracle.json")).unwrap();
    let oracle: BTreeMap<String, Golden> = serde_json::from_str(&text).unwrap();
    let ours = extract_all(8);
    assert_eq!(ours.len(), oracle.len());
    for (name, expected) in &oracle {
        let (tolerance, mel_db) =
            if name.starts_with("22050") { (1e-5, 0.01) } else { (1e-3, 0.05) };
        compare(name, &ours[name], expected, tolerance, mel_db);
    }
}

/// Shards are named by the version of the extractor: features that change under the same
/// version would make stale shards pass for fresh ones.
#[test]
fn features_change_only_with_the_extractor_version() {
    let path = golden_path("pinned.json");
    let features = extract_all(8);
    if std::env::var_os("VOXAGE_PIN").is_some() {
        let pinned = Pinned { extractor_version: EXTRACTOR_VERSION, features };
        std::fs::write(path, serde_json::to_string(&pinned).unwrap()).unwrap();
        return;
    }
    let pinned: Pinned = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(
        pinned.extractor_version, EXTRACTOR_VERSION,
        "a new version: write its features with VOXAGE_PIN=1 cargo nextest run -p voxage-extract",
    );
    for (name, before) in &pinned.features {
        // Processors round differently; a change of the arithmetic shows long before this.
        compare(name, &features[name], before, 1e-6, 0.001);
    }
}
