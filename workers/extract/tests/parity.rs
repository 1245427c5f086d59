//! Real recordings, where they are at hand, against what librosa and Praat give for them:
//! the bars that the extractor is held to. docs/parity.md has the same over all of them.

mod common;

use std::io::Cursor;
use std::path::Path;

use common::{Coding, Recording, real_data, relative_error};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use voxage_contract::spec::SAMPLE_RATE_HZ;
use voxage_contract::{FeatureSpec, Limits, MelStorage, N_MELS};
use voxage_extract::Extractor;

/// What `tests/oracle/golden_real.py` writes.
#[derive(Deserialize)]
struct Golden {
    columns: Vec<String>,
    /// Of a spectrogram there are cells of every so many bands.
    first_band: usize,
    band_every: usize,
    recordings: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    /// Below the data folder.
    path: String,
    sha256: String,
    /// In the order of the columns.
    tabular: Vec<Option<f64>>,
    /// Columns of which librosa is not sure itself: they change with its resampler's
    /// rounding noise in digital silence, or with the silence before the first sample.
    unsteady: Vec<String>,
    n_frames: usize,
    /// Of a spectrogram there are cells of every so many frames.
    frame_every: usize,
    /// Levels below the maximum in thousandths of a decibel.
    below_max_mdb: Vec<Vec<u32>>,
}

/// What has to hold over the recordings of a golden file.
struct Bar {
    /// Relative error that columns have on 99 % of the recordings at most.
    column: f64,
    /// Relative error that no column has on any recording; the counts aside.
    column_anywhere: f64,
    /// Part of the recordings whose tempo and number of intervals are equal.
    counts_equal: f64,
    /// Difference of cells, and the part of the cells that keep it.
    mel_db: f32,
    mel_within: f64,
    /// Bands above are not held to it.
    bands: usize,
}

/// Bands that end below 10 kHz: those above see where the resamplers' pass bands end.
const BELOW_10_KHZ: usize = 121;

/// Relative error that an unsteady column may have.
const UNSTEADY: f64 = 0.05;

/// These are equal or not: a small difference means nothing.
const COUNTS: [&str; 2] = ["num_pauses", "tempo"];

#[test]
fn at_their_own_rate_features_are_those_of_the_oracles() {
    let bar = Bar {
        column: 1e-3,
        column_anywhere: f64::INFINITY,
        counts_equal: 0.98,
        mel_db: 0.05,
        mel_within: 0.99,
        bands: BELOW_10_KHZ,
    };
    check("native.json", &bar, |file| file);
}

/// Neither decoders nor resamplers take part.
#[test]
fn at_the_features_rate_features_are_those_of_the_oracles() {
    let bar = Bar {
        column: 1e-4,
        column_anywhere: 1e-2,
        counts_equal: 0.98,
        mel_db: 0.01,
        mel_within: 0.999,
        bands: N_MELS,
    };
    check("own_rate.json", &bar, at_the_features_rate);
}

/// A WAV file of the same samples, said to be of the features' rate. Of FLAC, whose frames
/// name the rate too, the samples are written anew.
fn at_the_features_rate(mut file: Vec<u8>) -> Vec<u8> {
    if file.starts_with(b"fLaC") {
        let channels = voxage_extract::samples(Cursor::new(file), &Limits::default());
        let channels = channels.expect("it is sound FLAC");
        let rate_hz = SAMPLE_RATE_HZ;
        return Recording { name: "", rate_hz, channels, coding: Coding::Float32 }.wav();
    }
    assert_eq!(&file[12..16], b"fmt ");
    file[24..28].copy_from_slice(&SAMPLE_RATE_HZ.to_le_bytes());
    file
}

fn check(golden: &str, bar: &Bar, prepare: impl Fn(Vec<u8>) -> Vec<u8>) {
    let Some(data) = real_data() else { return };
    let path = Path::new("tests/golden").join(golden);
    let golden: Golden = serde_json::from_slice(&std::fs::read(path).expect("it is committed"))
        .expect("the script wrote it");
    let mut spec = FeatureSpec::default();
    spec.mel.storage = MelStorage::F32;
    let mut extractor = Extractor::new(&spec).expect("it has no embedding");
    let mut tally = Tally::default();
    for expected in &golden.recordings {
        let file = std::fs::read(data.join(&expected.path)).expect("the data is whole");
        let sha256: String = Sha256::digest(&file).iter().map(|x| format!("{x:02x}")).collect();
        assert_eq!(sha256, expected.sha256, "{} is another file now", expected.path);
        let features = match extractor.extract(Cursor::new(prepare(file)), &Default::default()) {
            Ok(features) => features,
            // tests/real.rs knows which these are.
            Err(reject) if ["unsupported_codec", "unknown_format"].contains(&&*reject.code) => {
                eprintln!("{}: {}", expected.path, reject.message);
                continue;
            }
            Err(reject) => panic!("{}: {reject:?}", expected.path),
        };
        let value = |column: &String| {
            let at = spec.columns().position(|ours| ours.name == *column).expect("we have it");
            features.tabular[at]
        };
        let found: Vec<_> = golden.columns.iter().map(value).collect();
        tally.columns(bar, &golden.columns, &found, expected);
        assert_eq!(features.mel.n_frames, expected.n_frames, "{}", expected.path);
        let db = features.mel.to_db();
        let frames = db.chunks(N_MELS).step_by(expected.frame_every);
        for (frame, below_max_mdb) in frames.zip(&expected.below_max_mdb) {
            let bands = (golden.first_band..bar.bands).step_by(golden.band_every);
            for (band, &mdb) in bands.zip(below_max_mdb) {
                tally.n_cells += 1;
                let off = (frame[band] + mdb as f32 / 1000.0).abs() > bar.mel_db;
                tally.cells_off += usize::from(off);
            }
        }
    }
    tally.assert(bar);
}

#[derive(Default)]
struct Tally {
    n_recordings: usize,
    /// Recordings with a column that is off.
    columns_off: usize,
    /// Recordings with another tempo or number of intervals.
    counts_off: [usize; COUNTS.len()],
    n_cells: usize,
    cells_off: usize,
    /// What is off, to read when a bar does not hold.
    off: Vec<String>,
}

impl Tally {
    fn columns(&mut self, bar: &Bar, names: &[String], found: &[Option<f64>], expected: &Expected) {
        self.n_recordings += 1;
        let n_off = self.off.len();
        for ((name, found), theirs) in names.iter().zip(found).zip(&expected.tabular) {
            let error = match (found, theirs) {
                (Some(found), Some(theirs)) => relative_error(*found, *theirs),
                (None, None) => 0.0,
                _ => f64::INFINITY,
            };
            if expected.unsteady.contains(name) && error <= UNSTEADY {
                continue;
            }
            let told = || format!("{} {name}: {found:?} is not {theirs:?}", expected.path);
            if let Some(count) = COUNTS.iter().position(|count| count == name) {
                self.counts_off[count] += usize::from(error > 1e-9);
            } else if error > bar.column {
                self.off.push(told());
            }
            let may_differ = COUNTS.contains(&name.as_str());
            assert!(may_differ || error <= bar.column_anywhere, "{}", told());
        }
        self.columns_off += usize::from(self.off.len() > n_off);
    }

    fn assert(&self, bar: &Bar) {
        let part = |n: usize, of: usize| n as f64 / of as f64;
        let off = self.off.join("\n");
        assert!(self.n_recordings >= 200, "{}", self.n_recordings);
        assert!(part(self.columns_off, self.n_recordings) <= 0.01, "{off}");
        for (name, n_off) in COUNTS.iter().zip(self.counts_off) {
            let equal = 1.0 - part(n_off, self.n_recordings);
            assert!(equal >= bar.counts_equal, "{name} equal on {equal}");
        }
        let within = 1.0 - part(self.cells_off, self.n_cells);
        assert!(within >= bar.mel_within, "{within} of the cells within {} dB", bar.mel_db);
    }
}
