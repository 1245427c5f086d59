//! The main job on real recordings. Trained for a moment only: how well a model does is
//! docs/results.md's to say.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, call, data, json, run, sealed_rows, stdout};

fn whole(set: &str, manifest: &str, recordings: usize) {
    let Some(folder) = data(set) else { return };
    let manifest = folder.join(manifest);
    let validated = call(&["validate", manifest.to_str().unwrap(), "--json"]);
    assert_eq!(validated.status.code(), Some(0), "{}", stdout(&validated));
    let place = Place::new();
    let answer = run(&manifest, &place.text("root"), &[]);
    assert_eq!(answer["recordings"]["submitted"], recordings);
    assert_eq!(answer["recordings"]["rejects"], 0);
    let test = &answer["evaluation"]["test"];
    assert!(test["n"].as_u64().unwrap() > 10 && test["rmse"].as_f64().unwrap() > 0.0, "{test}");
    assert_eq!(
        sealed_rows(&place.path("root"), answer["manifest"].as_str().unwrap()).len(),
        recordings
    );
}

#[test]
fn polito_runs_as_it_is() {
    whole("polito", "development.csv", 149);
}

#[test]
fn saa_runs_as_it_is() {
    whole("saa", "recordings.csv", 261);
}

#[test]
fn speechocean762_runs_as_it_is() {
    whole("speechocean762", "recordings.csv", 375);
}

#[test]
fn a_recording_of_each_format_is_predicted() {
    let Some(folder) = data("mixed_formats") else { return };
    let Some(saa) = data("saa") else { return };
    let place = Place::new();
    let root = place.text("root");
    run(&saa.join("recordings.csv"), &root, &[]);
    let formats = [
        "c01_pcm16_16k_mono.wav",
        "c02_pcm24_48k_mono.wav",
        "c03_pcm32_22050_mono.wav",
        "c04_float32_44100_stereo.wav",
        "c05_float64_16k.wav",
        "c06_pcm8_8k.wav",
        "c07_mulaw_8k.wav",
        "c08_alaw_8k.wav",
        "c09_imaadpcm_16k.wav",
        "c10_flac_16k.flac",
        "c12_vorbis_22050.ogg",
        "c15_aac.m4a",
        "c17_vbr_stereo.mp3",
        "c19_aiff.aiff",
        "r01_mp3_named_wav_48000.wav",
    ];
    for format in formats {
        let audio = folder.join("audio").join(format);
        let answer = json(&["predict", "--root", &root, audio.to_str().unwrap(), "--json"]);
        let age = answer["predictions"][0]["age"].as_f64();
        assert!(age.is_some_and(|age| (1.0..120.0).contains(&age)), "{format}: {answer}");
    }
}
