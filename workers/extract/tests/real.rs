//! Real recordings, where they are at hand: every kind of file, and the columns of the
//! original data set.

mod common;

use std::collections::BTreeMap;
use std::fs::File;

use common::agreement::{Kind, agreement};
use common::real_data;
use voxage_contract::columns::TabularSet;
use voxage_contract::{FeatureSpec, Features, Mono, Reject};
use voxage_extract::Extractor;

#[test]
fn every_kind_of_file_ends_as_expected() {
    let Some(data) = real_data() else { return };
    let folder = data.join("mixed_formats");
    let mut manifest = csv::Reader::from_path(folder.join("recordings.csv")).unwrap();
    let spec = FeatureSpec {
        mono: Mono::Auto,
        tabular: vec![TabularSet::Compat, TabularSet::Clean],
        ..FeatureSpec::default()
    };
    let mut extractor = Extractor::new(&spec).unwrap();
    let mut n_rows = 0;
    println!(
        "\n| id | expected | ends as | codec | seconds | channels |\n|---|---|---|---|---|---|"
    );
    for row in manifest.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        let (id, expect) = (row["id"].as_str(), row["expect"].as_str());
        let result = match File::open(folder.join(&row["path"])) {
            Ok(file) => extractor.extract(file, &BTreeMap::new()),
            Err(error) => Err(Reject::new("fetch", "missing", error.to_string())),
        };
        assert!(is_expected(expect, &result), "{id}: {expect} is not {result:?}");
        if let Ok(features) = &result {
            assert!(features.tabular.iter().flatten().all(|x| x.is_finite()), "{id}");
            if let Some((_, mix)) = MIXES.iter().find(|(start, _)| id.starts_with(start)) {
                assert_eq!(features.audio.mix, *mix, "{id}");
            }
            if expect == "ok" {
                let expected_s: f64 = row["duration"].parse().unwrap();
                let off_s = (features.audio.duration_s - expected_s).abs();
                assert!(off_s <= slack_s(&row["codec"]), "{id}: {off_s} s off {expected_s} s");
            }
        }
        println!("| {id} | {expect} | {} |", ending(&result));
        n_rows += 1;
    }
    assert_eq!(n_rows, 60);
}

/// What `auto` makes of the channels of some files.
const MIXES: [(&str, &str); 7] = [
    ("r05", "left"),
    ("r06", "mean"),
    ("c24", "channel 3"),
    ("d09", "left-right"),
    ("d10", "left"),
    ("d11", "right"),
    ("c17", "mean"),
];

/// How a recording ended, and what it turned out to be.
fn ending(result: &Result<Features, Reject>) -> String {
    match result {
        Err(reject) => format!("reject: {}/{} | | | ", reject.stage, reject.code),
        Ok(features) => {
            let warnings: Vec<_> = features.warnings.iter().map(|w| w.code()).collect();
            let status = if warnings.is_empty() { "ok".into() } else { warnings.join(", ") };
            let audio = &features.audio;
            format!("{status} | {} | {:.3} | {}", audio.codec, audio.duration_s, audio.mix)
        }
    }
}

/// How far a duration may be from the table's, which has six decimals.
fn slack_s(codec: &str) -> f64 {
    match codec {
        "flac" => 1e-6,
        pcm if pcm.starts_with("pcm_") => 1e-6,
        // The table counts what encoders put around the recording.
        "mp3" => 0.25,
        _ => 0.1,
    }
}

fn is_expected(expect: &str, result: &Result<Features, Reject>) -> bool {
    let warned = |code: &str| {
        result.as_ref().is_ok_and(|f| f.warnings.iter().any(|warning| warning.code() == code))
    };
    match expect {
        "ok" | "ok (shorter)" | "ok or warn" => result.is_ok(),
        "warn: no speech" => warned("no_speech"),
        "warn: too short" => warned("too_short"),
        "warn: half there" => warned("truncated"),
        "warn or error" => result.as_ref().map_or(true, |f| !f.warnings.is_empty()),
        "error" => result.is_err(),
        _ => false,
    }
}

/// The greatest relative error over all recordings, and the greatest median. Digital
/// silence at the ends of some WAV files makes the difference: there the oracle counts
/// its resampler's rounding noise.
#[test]
fn columns_agree_with_the_original_data_set() {
    let Some(data) = real_data() else { return };
    let table = agreement(&data.join("polito/development.csv")).unwrap();
    assert_eq!(table.len(), 24);
    for row in &table {
        let expected_rows = if row.kind == Kind::Wav { 53 } else { 96 };
        assert_eq!(row.errors.len(), expected_rows, "{row:?}");
        let greatest = match (row.column, row.kind) {
            ("zcr_mean", Kind::Wav) => 3e-2,
            ("spectral_centroid_mean", Kind::Wav) => 1e-2,
            _ => 1e-3,
        };
        assert!(row.max() <= greatest, "{} {:?}: {}", row.column, row.kind, row.max());
        assert!(row.median() <= 1e-5, "{} {:?}: {}", row.column, row.kind, row.median());
    }
}
