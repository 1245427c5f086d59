//! No input makes the extractor panic, hang or give a feature that is no number.

mod common;

use std::collections::BTreeMap;
use std::io::Cursor;

use common::fixture_voice;
use proptest::prelude::*;
use voxage_contract::{FeatureSpec, Features, Limits, Warning};
use voxage_extract::Extractor;
use voxage_extract::synth::wav_bytes;

fn extract(bytes: Vec<u8>) -> Option<Features> {
    let result = Extractor::new(&FeatureSpec::default())
        .expect("it has no embedding")
        .extract(Cursor::new(bytes), &BTreeMap::new());
    // Memory does not fail to be read.
    assert!(!result.as_ref().is_err_and(|reject| reject.stage == "fetch"), "{result:?}");
    let features = result.ok()?;
    assert!(features.tabular.iter().flatten().all(|x| x.is_finite()), "{features:?}");
    assert!(features.mel.to_db().iter().all(|x| x.is_finite()));
    Some(features)
}

fn float_wav(samples: &[f32], rate_hz: u32) -> Vec<u8> {
    let mut bytes = wav_bytes(&[], rate_hz);
    bytes[20] = 3;
    bytes[32..36].copy_from_slice(&[4, 0, 32, 0]);
    let n_bytes = 4 * samples.len() as u32;
    bytes[40..44].copy_from_slice(&n_bytes.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_are_features_or_rejects(
        file in 0usize..100,
        cut in 0.0f64..1.2,
        flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..20),
        in_header in any::<bool>(),
    ) {
        let folder = std::fs::read_dir("tests/formats").unwrap();
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut bytes = std::fs::read(&files[file % files.len()]).unwrap();
        bytes.truncate((cut * bytes.len() as f64) as usize);
        let reach = if in_header { bytes.len().min(200) } else { bytes.len() };
        for (at, byte) in flips {
            if let Some(target) = bytes.get_mut((at * reach as f64) as usize) {
                *target = byte;
            }
        }
        extract(bytes);
    }

    #[test]
    fn any_samples_have_features(
        samples in prop::collection::vec(
            prop_oneof![Just(0.0f32), -1.0f32..1.0, any::<f32>(), Just(f32::MIN_POSITIVE)], 1..3000,
        ),
        rate_hz in prop_oneof![Just(4_000u32), 4_000u32..50_000, Just(384_000)],
    ) {
        let features = extract(float_wav(&samples, rate_hz)).unwrap();
        let n = (samples.len() as f64 * 22_050.0 / f64::from(rate_hz)).ceil() as usize;
        prop_assert_eq!(features.mel.n_frames, 1 + n / 512);
    }
}

/// What `deploy/fuzz` found, and what made decoders panic.
#[test]
fn files_that_once_did_harm_are_features_or_rejects() {
    for entry in std::fs::read_dir("tests/regressions").unwrap() {
        extract(std::fs::read(entry.unwrap().path()).unwrap());
    }
}

#[test]
fn short_and_silent_files_have_features_and_a_warning() {
    let features = extract(wav_bytes(&[0.1], 16_000)).unwrap();
    assert_eq!(features.warnings, [Warning::TooShort]);
    assert_eq!(features.mel.n_frames, 1);
    let spec = FeatureSpec::default();
    let known: Vec<_> = spec
        .columns()
        .zip(&features.tabular)
        .filter(|(_, x)| x.is_some())
        .map(|(c, _)| c.name)
        .collect();
    let expected =
        ["energy", "zcr_mean", "spectral_centroid_mean", "tempo", "num_pauses", "silence_duration"];
    assert_eq!(known, expected);
    let silence = extract(wav_bytes(&[0.0; 32_000], 16_000)).unwrap();
    assert_eq!(silence.warnings, [Warning::NoSpeech]);
}

#[test]
fn given_columns_are_put_in_and_the_rest_is_the_same() {
    let bytes = wav_bytes(&fixture_voice(16_000), 16_000);
    let mut extractor = Extractor::new(&FeatureSpec::default()).unwrap();
    let plain = extractor.extract(Cursor::new(bytes.clone()), &BTreeMap::new()).unwrap();
    let given = [("jitter", 0.5), ("hnr", -7.0), ("num_words", 3.0)];
    let given: BTreeMap<_, _> = given.map(|(name, value)| (name.to_owned(), value)).into();
    let features = extractor.extract(Cursor::new(bytes), &given).unwrap();
    for ((column, found), computed) in
        FeatureSpec::default().columns().zip(&features.tabular).zip(&plain.tabular)
    {
        assert_eq!(*found, given.get(column.name).copied().or(*computed), "{}", column.name);
    }
    assert_eq!(features.mel, plain.mel);
}

#[test]
fn what_takes_too_much_is_rejected() {
    let wav = wav_bytes(&fixture_voice(16_000), 16_000);
    let mut stereo = wav.clone();
    (stereo[22], stereo[32]) = (2, 4);
    let code = |wav: &[u8], limits: Limits| {
        let spec = FeatureSpec { limits, ..FeatureSpec::default() };
        let given = BTreeMap::new();
        let result = Extractor::new(&spec).unwrap().extract(Cursor::new(wav.to_vec()), &given);
        let Err(reject) = result else { return "ok".into() };
        // As a file of settings takes it, and as the command does.
        let (_, key) = reject.message.split_once("spec.limits.").unwrap();
        let key = key.split(' ').next().unwrap();
        assert!(
            reject.message.contains(&format!("--limits-{})", key.replace('_', "-"))),
            "{reject:?}"
        );
        format!("{}/{}", reject.stage, reject.code)
    };
    let limits = Limits::default();
    assert_eq!(code(&wav, limits), "ok");
    assert_eq!(code(&wav, Limits { mib: 0, ..limits }), "fetch/too_large");
    assert_eq!(
        code(&wav_bytes(&[0.1; 70_000], 8_000), Limits { duration_s: 8, ..limits }),
        "decode/too_long"
    );
    assert_eq!(code(&stereo, Limits { channels: 2, ..limits }), "ok");
    assert_eq!(code(&stereo, Limits { channels: 1, ..limits }), "decode/unsupported_channels");
    assert_eq!(code(&wav, Limits { extract_s: 0, ..limits }), "extract/too_slow");
}
