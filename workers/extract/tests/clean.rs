//! The columns of the set `clean` on signals whose answer is known by construction.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::io::Cursor;

use common::{Coding, Recording};
use voxage_contract::FeatureSpec;
use voxage_contract::columns::TabularSet;
use voxage_extract::Extractor;

const RATE_HZ: u32 = 32_000;

fn measure_with(
    given: &BTreeMap<String, f64>,
    samples: Vec<f32>,
) -> BTreeMap<&'static str, Option<f64>> {
    let spec = FeatureSpec { tabular: vec![TabularSet::Clean], ..FeatureSpec::default() };
    let coding = Coding::Float32;
    let wav = Recording { name: "", rate_hz: RATE_HZ, channels: vec![samples], coding }.wav();
    let features = Extractor::new(&spec).unwrap().extract(Cursor::new(wav), given).unwrap();
    spec.columns().map(|column| column.name).zip(features.tabular).collect()
}

fn measure(samples: Vec<f32>) -> BTreeMap<&'static str, Option<f64>> {
    measure_with(&BTreeMap::new(), samples)
}

#[track_caller]
fn check(found: &BTreeMap<&str, Option<f64>>, expected: &[(&str, f64, f64)]) {
    for &(name, value, tolerance) in expected {
        let found = found[name].unwrap_or_else(|| panic!("{name} is not known"));
        assert!((found - value).abs() <= tolerance, "{name}: {found} is not {value}");
    }
}

fn seconds(duration_s: f64) -> impl Iterator<Item = f64> {
    (0..(duration_s * f64::from(RATE_HZ)) as u32).map(|i| f64::from(i) / f64::from(RATE_HZ))
}

/// Decaying pulses: at each given time one of the given amplitude.
fn pulses(duration_s: f64, train: &[(f64, f64)]) -> Vec<f32> {
    let mut samples = vec![0.0f32; (duration_s * f64::from(RATE_HZ)) as usize];
    for &(time, amplitude) in train {
        let first = (time * f64::from(RATE_HZ)).ceil() as usize;
        for (i, x) in samples.iter_mut().enumerate().skip(first).take(320) {
            let t = i as f64 / f64::from(RATE_HZ) - time;
            *x += (amplitude * (TAU * 700.0 * t).sin() * (-900.0 * t).exp()) as f32;
        }
    }
    samples
}

/// `n` harmonics of 150 Hz, each that much weaker than the one below, under an envelope.
fn voice(duration_s: f64, envelope: impl Fn(f64) -> f64) -> Vec<f32> {
    let wave =
        |t: f64| (1..=20).map(|k| (TAU * 150.0 * f64::from(k) * t).cos() / 20.0).sum::<f64>();
    seconds(duration_s).map(|t| (envelope(t) * 0.5 * wave(t)) as f32).collect()
}

#[test]
fn f0_is_the_rate_of_a_pulse_train() {
    let train: Vec<_> = (1..479).map(|i| (f64::from(i) / 120.0, 0.5)).collect();
    let found = measure(pulses(4.0, &train));
    let semitones = 12.0 * 1.2f64.log2();
    check(
        &found,
        &[
            ("f0_mean", 120.0, 0.05),
            ("f0_median", 120.0, 0.05),
            ("f0_p05", 120.0, 0.1),
            ("f0_p95", 120.0, 0.1),
            ("f0_sd", 0.0, 0.1),
            ("f0_mean_st", semitones, 0.01),
            ("f0_median_st", semitones, 0.01),
            ("f0_p05_st", semitones, 0.02),
            ("f0_p95_st", semitones, 0.02),
            ("f0_sd_st", 0.0, 0.02),
            ("jitter_local", 0.0, 1e-4),
            ("shimmer_local", 0.0, 2e-3),
            ("audio_length", 4.0, 1e-9),
        ],
    );
}

#[test]
fn f0_spreads_as_a_glide_does() {
    // From 100 to 200 Hz, evenly over time: phase is the integral of frequency.
    let (mut train, mut time) = (Vec::new(), 0.02);
    while time < 7.98 {
        train.push((time, 0.5));
        time += 1.0 / (100.0 + 12.5 * time);
    }
    let found = measure(pulses(8.0, &train));
    let octave = 12.0;
    check(
        &found,
        &[
            ("f0_mean", 150.0, 0.5),
            ("f0_median", 150.0, 0.7),
            ("f0_sd", 100.0 / 12f64.sqrt(), 0.5),
            ("f0_p05", 105.0, 0.7),
            ("f0_p95", 195.0, 0.7),
            ("f0_p05_st", octave * 1.05f64.log2(), 0.12),
            ("f0_p95_st", octave * 1.95f64.log2(), 0.07),
            ("f0_median_st", octave * 1.5f64.log2(), 0.08),
            // Of 12 log2(1 + u) for u even over 0 to 1.
            ("f0_mean_st", octave * (2.0 - 1.0 / 2f64.ln()), 0.06),
            ("f0_sd_st", 3.413, 0.06),
        ],
    );
}

#[test]
fn jitter_and_shimmer_are_what_was_put_in() {
    let wavering = |jitter: f64, shimmer: f64| {
        let mut time = 0.0;
        let train: Vec<_> = (0..248)
            .map(|i| {
                let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
                time += 0.008 * (1.0 + jitter * sign);
                (time, 0.5 * (1.0 + shimmer * sign))
            })
            .collect();
        measure(pulses(2.0, &train))
    };
    // Neighbours differ by twice the swing.
    check(&wavering(0.01, 0.0), &[("jitter_local", 0.02, 0.001)]);
    check(&wavering(0.0, 0.05), &[("shimmer_local", 0.1, 0.01), ("jitter_local", 0.0, 1e-3)]);
}

#[test]
fn hnr_is_the_ratio_that_was_mixed() {
    for ratio_db in [5.0, 13.0, 20.0] {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (f64::from(state) / f64::from(u32::MAX) - 0.5) * 12f64.sqrt()
        };
        let amplitude = 0.1 * 10f64.powf(-ratio_db / 20.0) / 2f64.sqrt();
        let mixed = |t: f64| 0.1 * (TAU * 200.0 * t).sin() + amplitude * noise();
        let mut samples: Vec<f32> = seconds(3.0).map(mixed).map(|x| x as f32).collect();
        // Silence has no part in it.
        samples.extend(vec![0.0; 2 * RATE_HZ as usize]);
        check(&measure(samples), &[("hnr_voiced", ratio_db, 1.0), ("voiced_ratio", 0.6, 0.01)]);
    }
}

#[test]
fn pauses_have_their_length() {
    // 0.5 s and 1 s of silence; the gap of 0.1 s is none, nor is silence at the ends.
    let silent = [0.0..0.4, 1.0..1.5, 2.0..2.1, 3.0..4.0, 4.6..5.0];
    let samples = voice(5.0, |t| if silent.iter().any(|s| s.contains(&t)) { 0.0 } else { 1.0 });
    let found = measure(samples);
    check(
        &found,
        &[("pause_count", 2.0, 0.0), ("pause_total", 1.5, 0.03), ("pause_mean", 0.75, 0.015)],
    );
    // The same over a constant, and in noise 24 dB down.
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state as f32 / u32::MAX as f32 - 0.5) * 0.012
    };
    let samples = voice(5.0, |t| if silent.iter().any(|s| s.contains(&t)) { 0.0 } else { 1.0 });
    let noisy = measure(samples.iter().map(|x| x + 0.3 + noise()).collect());
    check(&noisy, &[("pause_count", 2.0, 0.0), ("pause_total", 1.5, 0.06)]);
    let found = measure(voice(1.0, |_| 1.0));
    check(&found, &[("pause_count", 0.0, 0.0), ("pause_total", 0.0, 0.0)]);
    assert_eq!(found["pause_mean"], None);
}

#[test]
fn rates_are_counts_over_the_length() {
    // Four syllables a second.
    let samples = voice(5.0, |t| 0.05 + 0.95 * (0.5 - 0.5 * (TAU * 4.0 * t).cos()));
    let found = measure_with(&[("num_words".to_owned(), 10.0)].into(), samples);
    check(
        &found,
        &[("syllables_per_s", 4.0, 0.2), ("words_per_s", 2.0, 1e-9), ("voiced_ratio", 1.0, 0.01)],
    );
    assert_eq!(measure(voice(1.0, |_| 1.0))["words_per_s"], None);
}

/// Syllables of uneven length and loudness, with dips as before a nasal or a stop.
#[test]
fn syllables_are_what_stands_between_dips() {
    for (per_s, dip_db) in
        [(3.0, 3.5), (3.0, 12.0), (4.5, 3.5), (4.5, 12.0), (6.0, 4.0), (6.0, 20.0)]
    {
        // Every third one is a third longer and 3 dB louder than its neighbours.
        let phase = |t: f64| per_s * t + 0.15 * (TAU * per_s * t / 3.0).sin();
        let level_db = |t: f64| {
            let accent = 1.5 * (TAU * phase(t) / 3.0).cos();
            accent - dip_db * (0.5 + 0.5 * (TAU * phase(t)).cos())
        };
        let silent = |t: f64| (4.0..4.5).contains(&t) || t < 0.3;
        let samples = voice(8.0, |t| if silent(t) { 0.0 } else { 10f64.powf(level_db(t) / 20.0) });
        let found = measure(samples);
        // Of these 7.2 s of voice; those at its edges count or not, as they rise.
        let found = found["syllables_per_s"].unwrap() * 8.0 / 7.2;
        assert!((found - per_s).abs() < 2.0 / 7.2, "{found} of {per_s}, dips of {dip_db} dB");
    }
}

#[test]
fn spectra_are_of_voiced_frames() {
    // A tone, then noise that is twice as long.
    let mut state = 1u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / f64::from(u32::MAX) - 0.5
    };
    let samples =
        seconds(6.0).map(|t| if t < 2.0 { 0.5 * (TAU * 500.0 * t).sin() } else { 0.2 * noise() });
    let found = measure(samples.map(|x| x as f32).collect());
    check(&found, &[("rolloff_voiced", 500.0, 150.0), ("centroid_voiced", 500.0, 150.0)]);
    // A constant is no part of a voice.
    let shape = |constant: f32| {
        let found = measure(voice(2.0, |_| 1.0).iter().map(|x| x + constant).collect());
        ["centroid_voiced", "rolloff_voiced"].map(|name| found[name].unwrap())
    };
    for (with, without) in shape(0.3).into_iter().zip(shape(0.0)) {
        assert!((with / without - 1.0).abs() < 0.02, "{with} is not {without}");
    }
    // Harmonics that fall by 6 and 12 dB an octave.
    for power in [1, 2] {
        let wave = |t: f64| {
            (1..=80)
                .map(|k| (TAU * 100.0 * f64::from(k) * t).cos() / f64::from(k).powi(power))
                .sum::<f64>()
        };
        let found = measure(seconds(2.0).map(|t| (0.1 * wave(t)) as f32).collect());
        check(&found, &[("slope_voiced", -6.02 * f64::from(power), 0.7)]);
    }
}

#[test]
fn silence_has_no_voice() {
    let found = measure(vec![0.0; RATE_HZ as usize]);
    let known: Vec<_> =
        found.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name).collect();
    let expected =
        ["audio_length", "pause_count", "pause_total", "syllables_per_s", "voiced_ratio"];
    assert_eq!(known, expected);
    assert_eq!(found["voiced_ratio"], Some(0.0));
}
