//! Where each setting comes from, and what is refused.

use super::*;
use clap::Command;

fn try_resolve(flags: &[&str], env: &[(&str, &str)]) -> Result<Resolved> {
    let command = Command::new("t").args(args(crate::config::KEYS));
    let matches = command.try_get_matches_from([&["t"], flags].concat())?;
    let env = env.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    resolve(&matches, &env.collect())
}

fn source(resolved: &Resolved, key: &str) -> String {
    resolved.effective().into_iter().find(|e| e.key == key).unwrap().source
}

#[test]
fn every_setting_has_help_and_every_help_a_setting() {
    let mut settings: Vec<_> = leaves(&defaults(), "").into_iter().map(|(key, _)| key).collect();
    let mut help: Vec<_> = HELP.iter().map(|(key, _)| (*key).to_owned()).collect();
    settings.sort();
    help.sort();
    assert_eq!(settings, help);
}

#[test]
fn flags_win_over_variables_over_files_over_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v.toml");
    std::fs::write(
        &file,
        "root = 'f'\nslots = 3\n[train]\nepochs = 5\nseed = 6\n[spec.mel]\nstorage = 'f16'\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let env = [("VOXAGE_SLOTS", "4"), ("VOXAGE_TRAIN_EPOCHS", "7"), ("VOXAGE_CONFIG", file)];
    let resolved = try_resolve(&["--epochs", "8", "--channels", "4,8"], &env).unwrap();
    let settings = &resolved.settings;
    assert_eq!((settings.root.as_str(), settings.slots), ("f", 4));
    assert_eq!((settings.train.epochs, settings.train.seed), (8, 6));
    assert_eq!(settings.train.channels, [4, 8]);
    assert_eq!(settings.spec.mel.storage, voxage_contract::MelStorage::F16);
    assert_eq!(source(&resolved, "train.epochs"), "--epochs");
    assert_eq!(source(&resolved, "slots"), "VOXAGE_SLOTS");
    assert_eq!(source(&resolved, "root"), file);
    assert!(resolved.is_default("model") && !resolved.is_default("root"));
}

#[test]
fn a_spec_file_holds_the_spec_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spec.toml");
    std::fs::write(&file, "tabular = []\n[mel]\nreference = 'one'\n").unwrap();
    let spec = try_resolve(&["--spec", file.to_str().unwrap()], &[]).unwrap().settings.spec;
    assert_eq!(spec.mel.reference, voxage_contract::MelReference::One);
    assert!(spec.tabular.is_empty());
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v.toml");
    std::fs::write(&file, "[train]\nepoch = 5\n").unwrap();
    let check = |flags: &[&str], env: &[(&str, &str)], expected: &[&str]| {
        let error = format!("{:#}", try_resolve(flags, env).err().unwrap());
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    };
    check(
        &["--config", file.to_str().unwrap()],
        &[],
        &["v.toml", "train.epoch", "did you mean 'train.epochs'"],
    );
    check(&["--epochs", "many"], &[], &["--epochs", "not a whole number"]);
    let range = "out of range: give a whole number from 0 to 9223372036854775807";
    check(&["--epochs", "99999999999999999999"], &[], &["--epochs: 99999999999999999999", range]);
    check(&["--slots=-1"], &[], &["--slots: -1", range]);
    let negative = folder.path().join("n.toml");
    std::fs::write(&negative, "[spec.limits]\nmib = -5\n").unwrap();
    let negative = ["--config", negative.to_str().unwrap()];
    check(&negative, &[], &["spec.limits.mib", "n.toml", "-5", range]);
    check(&["--tabular", "none,compat"], &[], &["--tabular", "none stands alone"]);
    check(&[], &[("VOXAGE_TRAIN_IMAGE", "last")], &["train.image", "VOXAGE_TRAIN_IMAGE", "last"]);
    check(&["--slots", "0"], &[], &["slots"]);
    let threads = [("VOXAGE_UPKEEP_LOADER_THREADS", "100000")];
    check(&[], &threads, &["upkeep.loader_threads", "at most 1024"]);
    check(&[], &[("VOXAGE_UPKEEP_CHECKPOINT_S", "-1")], &["upkeep.checkpoint_s", "at least 0"]);
    // JSON has no such numbers: written down, they could not be read again.
    check(&["--learning-rate", "inf"], &[], &["train.learning_rate", "--learning-rate", "inf"]);
    check(
        &[],
        &[("VOXAGE_GATE_MARGIN_YEARS", "nan")],
        &["gate.margin_years", "VOXAGE_GATE", "nan"],
    );
    check(&["--test-share", "0.9"], &[], &["train.test_share"]);
    check(&["--root", "gs://key:secret@b"], &[], &["gs://key:***@b"]);
    check(&["--config", "nowhere.toml"], &[], &["nowhere.toml"]);
}

#[test]
fn variables_that_were_meant_for_a_setting_are_refused() {
    for (name, meant) in [
        ("VOXAGE_TABULAR", "VOXAGE_SPEC_TABULAR"),
        ("VOXAGE_LIMITS_DURATION_S", "VOXAGE_SPEC_LIMITS_DURATION_S"),
        ("VOXAGE_TEST_SHARE", "VOXAGE_TRAIN_TEST_SHARE"),
        ("VOXAGE_TRAIN_EPOCH", "VOXAGE_TRAIN_EPOCHS"),
        ("VOXAGE_SPEC_TABULER", "VOXAGE_SPEC_TABULAR"),
        ("VOXAGE_SLOT", "VOXAGE_SLOTS"),
    ] {
        let error = try_resolve(&[], &[(name, "1")]).err().unwrap().to_string();
        assert!(error.contains(&format!("{name} is no setting: did you mean {meant}?")), "{error}");
    }
    for other in ["LOG", "CACHE", "DATA", "PYTHON", "WEIGHTS", "PIN", "TEST_S3", "TEST_AMQP"] {
        try_resolve(&[], &[(&format!("VOXAGE_{other}"), "1")]).unwrap();
    }
    let none = try_resolve(&["--tabular", "none"], &[]).unwrap();
    assert!(none.settings.spec.tabular.is_empty());
}

#[test]
fn secrets_are_hidden() {
    assert_eq!(redacted("amqp://me:secret@host:1/v"), "amqp://me:***@host:1/v");
    assert_eq!(redacted("amqp://host/v@x"), "amqp://host/v@x");
    assert_eq!(redacted("./a@b"), "./a@b");
}
