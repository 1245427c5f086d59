//! Settings, and the names of runs.

use super::*;
use crate::keys::Name;

#[test]
fn settings_that_cannot_be_are_named() {
    let default = TrainSettings::default;
    assert_eq!(default().check(), Ok(()));
    for (settings, name) in [
        (TrainSettings { epochs: 0, ..default() }, "train.epochs"),
        (TrainSettings { learning_rate: f64::NAN, ..default() }, "train.learning_rate"),
        (TrainSettings { weight_decay: f64::INFINITY, ..default() }, "train.weight_decay"),
        (TrainSettings { test_share: 0.9, ..default() }, "train.test_share"),
        (TrainSettings { channels: vec![1; 8], ..default() }, "train.channels"),
        (TrainSettings { table_units: vec![], ..default() }, "train.table_units"),
        (TrainSettings { head_units: 1 << 40, ..default() }, "train.head_units"),
        (TrainSettings { drop_path: 1.0, ..default() }, "train.drop_path"),
        (TrainSettings { loss: Loss::MeanVariance, ..default() }, "train.target"),
        (TrainSettings { pretrained: "a".into(), ..default() }, "train.pretrained"),
        (
            TrainSettings { augment: Augment { shift: 128, ..Augment::default() }, ..default() },
            "train.augment.shift",
        ),
        (
            TrainSettings {
                se_resnet: SeResNet { blocks: vec![2; 3], ..SeResNet::default() },
                ..default()
            },
            "train.se_resnet.blocks",
        ),
        (
            TrainSettings { ecapa: Ecapa { groups: 7, ..Ecapa::default() }, ..default() },
            "train.ecapa.channels",
        ),
    ] {
        assert!(settings.check().unwrap_err().contains(name));
    }
}

#[test]
fn settings_that_change_nothing_are_named() {
    let settings = TrainSettings {
        windows: 4,
        loss: Loss::Huber,
        augment: Augment { shift: 3, ..Augment::default() },
        points: 9,
        device: Device::Cuda,
        ..TrainSettings::default()
    };
    let said = settings.without_effect().unwrap();
    let names = "train.augment.shift, train.device, train.loss, train.windows";
    assert_eq!(said, format!("{names}: without effect on gp as it is set"));
    let network = TrainSettings { architecture: Architecture::SeResNet, ..settings };
    let said = network.without_effect().unwrap();
    assert!(said.starts_with("train.points, train.windows: without"), "{said}");
    let all: Vec<_> = network.changed().into_iter().map(|(name, _)| name).collect();
    assert_eq!(all, ["architecture", "augment.shift", "device", "loss", "points", "windows"]);
}

#[test]
fn a_run_is_named_by_everything_but_the_place() {
    let request = TrainRequest {
        root: "a".into(),
        access: Access::default(),
        upkeep: Upkeep::default(),
        patient: false,
        manifest: "m".into(),
        model: Name::nearest("age"),
        fold: None,
        against: None,
        start: None,
        blend: Vec::new(),
        settings: TrainSettings::default(),
    };
    let id = request.run_id();
    let cache = Some(CacheSettings { folder: "c".into(), limit_mib: 1 });
    let access = Access { cache, ..Access::default() };
    assert_eq!(TrainRequest { root: "b".into(), access, ..request.clone() }.run_id(), id);
    assert_ne!(TrainRequest { manifest: "n".into(), ..request.clone() }.run_id(), id);
    let settings = TrainSettings { seed: 2, ..TrainSettings::default() };
    assert_ne!(TrainRequest { settings, ..request }.run_id(), id);
}

#[test]
fn no_age_is_below_0_or_beyond_belief() {
    let age = |target: Target, mean| target.to_age(mean, 0.0).0;
    assert_eq!((age(Target::Age, -3.0), age(Target::Age, 30.0)), (0.0, 30.0));
    assert_eq!((age(Target::SqrtAge, 15.0), age(Target::SqrtAge, 5.0)), (120.0, 25.0));
    assert_eq!(age(Target::LogAge, 1e3), 120.0);
    assert!(age(Target::Age, f64::NAN).is_nan());
}
