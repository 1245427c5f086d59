//! Keys are read back as they were made.

use super::*;
use crate::spec::FeatureSpec;
use proptest::prelude::*;

#[test]
fn keys_are_read_back() {
    let name: Name = "calls-2026".parse().unwrap();
    let spec = FeatureSpec::default().id();
    let id = ShardId("0f".repeat(16));
    let key = shard(&name, &spec, &id);
    assert_eq!(shard_of(&key, &name), Some((spec, id)));
    assert_eq!(dataset_of(&key), Some(name.clone()));
    assert_eq!(number_of(&plan(&name, 7), &plans(&name)), Some(7));
    assert_eq!(number_of(&manifest(&name, 8), &manifests(&name)), Some(8));
    assert_eq!(number_of(&version(&name, 12), &versions(&name)), Some(12));
    assert_eq!(version_of(&version(&name, 12)), Some((name.clone(), 12)));
    assert_eq!(schedule_of(&schedule(&name, 3)), Some((name.clone(), 3)));
    let fired = fire(&name, "20261126T020000Z", "claim");
    assert_eq!(fire_of(&fired, &name), Some(("20261126T020000Z", "claim")));
}

#[test]
fn only_keys_of_the_layout_are_known() {
    let name: Name = "calls-2026".parse().unwrap();
    let spec = FeatureSpec::default().id();
    for key in [
        batch(&name, 1),
        planned(&name, 1, 0),
        cancelled(&name, 1),
        part(&name, &"0f".repeat(16)),
        plan(&name, 1),
        manifest(&name, 1),
        shard(&name, &spec, &ShardId("0f".repeat(16))),
        format!("{}{}.wav", audio(&name), "0f".repeat(16)),
        format!("{}card.json", version(&name, 1)),
        format!("{}report.html", version(&name, 1)),
        format!("{}card.md", version(&name, 1)),
        study("0123456789abcdef", "request.json"),
        run("0123456789abcdef", "result.json"),
        asked("0123456789abcdef", 1),
        failed("0123456789abcdef", 1),
        checkpoint("0123456789abcdef", 1),
        metrics_until("0123456789abcdef", 1, false),
        metrics_until("0123456789abcdef", 1, true),
        events_until("0123456789abcdef", 1, false),
        events_until("0123456789abcdef", 1, true),
        lease_beat(&run_lease("0123456789abcdef"), 1, 2),
        lease_end(&run_lease("0123456789abcdef"), 1),
        champion(&name, 1),
        predictions("0123456789abcdef", &manifest(&name, 1)),
        ridge("0123456789abcdef"),
        schedule(&name, 1),
        taken(&name, &"0f".repeat(32)),
        fire(&name, "20261126T020000Z", "claim"),
        PROBE.to_owned(),
    ] {
        assert!(is_known(&key), "{key}");
    }
    for key in ["", "datasets/x/plans/1.pb.zst", "datasets/x/plans/00000001.pb.zst.tmp", "a"] {
        assert!(!is_known(key), "{key}");
    }
}

#[test]
fn different_texts_get_different_names() {
    assert_eq!(Name::nearest("Calls-2026").as_str(), "calls-2026");
    assert!(Name::nearest("My Data (1)").as_str().starts_with("my-data--1-"));
    assert!(Name::nearest("данные").as_str().starts_with("dataset-"));
    assert_ne!(Name::nearest("данные"), Name::nearest("записи"));
}

proptest! {
    #[test]
    fn the_nearest_name_is_a_name(text in ".*") {
        let name = Name::nearest(&text);
        prop_assert_eq!(name.as_str().parse::<Name>(), Ok(name.clone()));
    }

    #[test]
    fn names_sort_as_their_numbers(a in 0u64..100_000_000, b in 0u64..100_000_000) {
        let name = Name::nearest("x");
        prop_assert_eq!(plan(&name, a).cmp(&plan(&name, b)), a.cmp(&b));
    }
}
