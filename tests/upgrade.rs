//! What an older version wrote is read (tests/upgrade, by its make.py), and two versions on one
//! queue and one store go on with what the other began: VOXAGE_OLD names the folder of an older
//! `voxage` and `voxage-trainer`.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::cluster::{Cluster, Service};
use common::{Place, json, run};
use prost::Message as _;
use voxage_contract::{Predict, Task, Training};

/// The older program, if there is one; says so if not.
fn old() -> Option<PathBuf> {
    let program = std::env::var_os("VOXAGE_OLD").map(|folder| PathBuf::from(folder).join("voxage"));
    if program.is_none() {
        eprintln!(
            "SKIPPED: VOXAGE_OLD names no folder of an older version; `make check-upgrade OLD=COMMIT` does"
        );
    }
    program
}

/// Some rows of a manifest as a manifest of its own, beside it.
fn part(cluster: &Cluster, name: &str, rows: std::ops::Range<usize>) -> String {
    let table = std::fs::read_to_string(cluster.place.path("voices/recordings.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    let text = [&lines[..1], &lines[1..][rows]].concat().join("\n");
    cluster.place.write(&format!("voices/{name}.csv"), &text)
}

#[test]
fn versions_work_side_by_side() {
    let Some(old) = old() else { return };
    let mut cluster = Cluster::start();
    cluster.place.synth(120);
    let new = None;
    let submit = |cluster: &mut Cluster, program: &Option<PathBuf>, name: &str, rows| {
        cluster.program.clone_from(program);
        let manifest = part(cluster, name, rows);
        let args = ["submit", &manifest, "--dataset", "d", "--shard-recordings", "4"];
        cluster.json(&args);
    };
    let start = |cluster: &mut Cluster, program: &Option<PathBuf>, role: &str| -> Service {
        cluster.program.clone_from(program);
        match role {
            "coordinator" => cluster.coordinator(),
            "worker" => cluster.worker(),
            role => cluster.service_with(&[role], |_| {}),
        }
    };
    let old = Some(old);
    // All old; then workers are upgraded one by one, then the coordinator.
    let mut coordinator = start(&mut cluster, &old, "coordinator");
    let mut first = start(&mut cluster, &old, "worker");
    submit(&mut cluster, &old, "one", 0..40);
    let _second = start(&mut cluster, &new, "worker");
    cluster.sealed("d", |_| {});
    submit(&mut cluster, &old, "two", 0..80);
    assert_eq!(first.stop(), Some(0));
    coordinator.kill();
    let mut coordinator = start(&mut cluster, &new, "coordinator");
    cluster.program = None;
    cluster.sealed("d", |_| {});
    // And back again: an old coordinator and an old worker beside a new one.
    submit(&mut cluster, &new, "three", 0..120);
    assert_eq!(coordinator.stop(), Some(0));
    let _coordinator = start(&mut cluster, &old, "coordinator");
    let _first = start(&mut cluster, &old, "worker");
    cluster.program = None;
    let verified = cluster.sealed("d", |_| {});
    assert_eq!(verified["submitted"], 120, "{verified}");
    // A model of the old trainer predicts under the new one, and the other way round.
    for (one, other, model) in [(&old, &new, "from-old"), (&new, &old, "from-new")] {
        let trainer = start(&mut cluster, one, "trainer");
        cluster.program.clone_from(other);
        cluster.json(&[
            "train",
            "--dataset",
            "d",
            "--model",
            model,
            "--architecture",
            "ridge",
            "--wait",
        ]);
        let out = cluster.place.text(model);
        cluster.json(&[
            "predict",
            "--queue",
            "",
            "--dataset",
            "d",
            "--model",
            model,
            "--out",
            &out,
        ]);
        assert!(std::fs::read_dir(out).unwrap().count() > 0);
        drop(trainer);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, path) = entry.map(|entry| (entry.file_type().unwrap(), entry.path())).unwrap();
        let target = to.join(path.file_name().unwrap());
        if entry.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn what_the_version_before_wrote_is_read() {
    let place = Place::new();
    let root = place.text("root");
    copy(Path::new("tests/upgrade/store"), root.as_ref());
    let verified = json(&["verify", "d", "--root", &root, "--json"]);
    assert_eq!((&verified["ok"], &verified["submitted"]), (&true.into(), &12.into()), "{verified}");
    let out = place.text("predicted");
    let predict = ["predict", "--root", &root, "--dataset", "d", "--model", "age@1"];
    json(&[&predict[..], &["--out", &out, "--json"]].concat());
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
    // It goes on from there: what is in it is known, what is new is added.
    let again = run(&place.synth(6), &root, &["--dataset", "d"]);
    assert!(again["model"].as_str().unwrap().ends_with("/00000002/"), "{again}");
    let status = json(&["status", "d", "--root", &root, "--json"]);
    assert_eq!(status["datasets"][0]["rows"], 12, "{status}");

    let message = |name: &str| std::fs::read(format!("tests/upgrade/{name}.bin")).unwrap();
    let (task, spec) = Task::read(&message("task")).unwrap();
    assert_eq!((task.dataset.as_str(), task.recordings.len(), task.batch), ("d", 12, 1));
    assert_eq!(task.spec_id, spec.id().to_string());
    let training = Training::decode(&*message("training")).unwrap();
    assert_eq!((training.run.len(), training.ask), (16, 1));
    let predict = Predict::decode(&*message("predict")).unwrap();
    assert_eq!(
        (predict.model.as_str(), predict.shards.len()),
        ("models/age/versions/00000001/", 1)
    );
}
