//! What the gate says of versions that differ in this or that.

use super::*;
use voxage_contract::Rng;

/// Recordings of 200 speakers with errors of so many years.
fn said(error: f64, seed: u64) -> Vec<Said> {
    let mut rng = Rng::new(&[seed]);
    let mut normal = move || (0..12).map(|_| rng.below(1000) as f64 / 1000.0).sum::<f64>() - 6.0;
    let one = |i: usize| {
        let (age, predicted) = (20.0 + (i % 50) as f64, 20.0 + (i % 50) as f64 + error * normal());
        Said {
            id: i.to_string(),
            age,
            predicted,
            low: Some(predicted - 2.0 * error),
            high: Some(predicted + 2.0 * error),
            gender: if i.is_multiple_of(2) { "female" } else { "male" }.into(),
            speaker: i.to_string(),
        }
    };
    (0..200).map(one).collect()
}

fn checked(own: &[Said], other: &[Said]) -> (Option<Bounded>, Vec<Check>) {
    let mut checks = Vec::new();
    let gate = Gate::default();
    let difference = against(&gate, own, other, &mut checks);
    checks.extend(coverage(&gate, 0.9, own));
    (difference, checks)
}

fn failed(checks: &[Check]) -> Vec<&str> {
    checks.iter().filter(|check| !check.passed).map(|check| &*check.name).collect()
}

#[test]
fn better_beyond_chance_passes_and_the_same_does_not() {
    let (difference, checks) = checked(&said(6.0, 1), &said(10.0, 2));
    assert!((difference.unwrap().value + 4.0).abs() < 1.5, "{difference:?}");
    assert!(failed(&checks).is_empty(), "{checks:?}");
    let (difference, checks) = checked(&said(8.0, 1), &said(8.0, 1));
    assert_eq!(difference.unwrap().value, 0.0);
    assert_eq!(failed(&checks), ["better than the champion"]);
    assert!(!failed(&checked(&said(8.0, 3), &said(7.9, 2)).1).is_empty());
}

#[test]
fn four_speakers_show_nothing() {
    for (speakers, passes) in [(1, false), (4, false), (5, true)] {
        let few = |mut said: Vec<Said>| {
            for (i, one) in said.iter_mut().enumerate() {
                one.speaker = (i % speakers).to_string();
            }
            said
        };
        let (difference, checks) = checked(&few(said(2.0, 1)), &few(said(20.0, 2)));
        assert!(difference.unwrap().high < 0.0, "{difference:?}");
        assert_eq!(failed(&checks).is_empty(), passes, "{checks:?}");
    }
}

#[test]
fn recordings_without_a_speaker_have_one_each() {
    let nameless = |mut said: Vec<Said>| {
        said.iter_mut().for_each(|one| one.speaker.clear());
        said
    };
    let (own, other) = (said(8.0, 3), said(7.9, 2));
    let (named, _) = checked(&own, &other);
    let (difference, _) = checked(&nameless(own), &nameless(other));
    assert_eq!(difference, named);
}

#[test]
fn one_part_that_gets_worse_is_enough_to_say_no() {
    let (mut own, other) = (said(5.0, 1), said(10.0, 2));
    for one in own.iter_mut().filter(|one| one.age >= 60.0) {
        one.predicted = one.age - 15.0;
        (one.low, one.high) = (None, None);
    }
    let (_, checks) = checked(&own, &other);
    assert_eq!(failed(&checks), ["60 and over"]);
}

#[test]
fn parts_that_are_too_small_are_named() {
    let gate = Gate { least_recordings: 90, ..Gate::default() };
    let mut checks = Vec::new();
    against(&gate, &said(5.0, 1), &said(10.0, 2), &mut checks);
    let small = checks.iter().find(|check| check.name == "small parts").unwrap();
    assert!(small.passed && small.words.contains("20 to 29 (40)"), "{small:?}");
    // Of each gender there are a hundred.
    assert!(checks.iter().any(|check| check.name == "female"), "{checks:?}");
}

#[test]
fn the_upper_end_is_wilson_s() {
    // statsmodels.stats.proportion.proportion_confint(19, 26, method="wilson")
    assert!((upper(19.0 / 26.0, 26.0) - 0.8630).abs() < 1e-3, "{}", upper(19.0 / 26.0, 26.0));
    assert!((upper(1.0, 10.0) - 1.0).abs() < 1e-12);
}

#[test]
fn intervals_that_are_too_narrow_say_no() {
    let mut own = said(5.0, 1);
    for one in &mut own {
        (one.low, one.high) = (Some(one.predicted - 4.0), Some(one.predicted + 4.0));
    }
    assert_eq!(failed(&checked(&own, &said(10.0, 2)).1), ["coverage"]);
}
