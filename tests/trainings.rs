//! Trainings over the queue: longer than the broker waits, and longer than a trainer lives.
//!
//! `VOXAGE_TEST_CHAOS=5` makes the broker wait a minute, and the training take several.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

use common::QUICK;
use common::cluster::{Cluster, Service};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use voxage_transport::Store as _;

fn scale() -> u64 {
    std::env::var("VOXAGE_TEST_CHAOS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn trainer(cluster: &mut Cluster) -> Service {
    // A group of its own: a kill takes its process along, as a power cut would.
    let args = ["trainer", "--checkpoint-s", "0.5"];
    cluster.service_with(&args, |command| {
        command.process_group(0);
    })
}

fn kill(service: &mut Service) {
    kill_process_group(Pid::from_child(&service.child), Signal::KILL).unwrap();
    service.child.wait().unwrap();
}

/// Waits until a trainer's log has a text.
fn until(cluster: &Cluster, service: &Service, text: &str) {
    let start = Instant::now();
    while !service.log().contains(text) {
        assert!(start.elapsed() < Duration::from_secs(240), "no '{text}'\n{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn object(cluster: &Cluster, key: &str) -> Vec<u8> {
    cluster.runtime.block_on(async {
        let store = cluster.s3.store("root").await.unwrap();
        store.get(key).await.unwrap().to_vec()
    })
}

#[test]
fn a_training_outlives_the_broker_s_patience_and_its_trainers() {
    let consumer_timeout = Duration::from_secs(12 * scale());
    let mut cluster = Cluster::start_as(Some(consumer_timeout));
    let manifest = cluster.place.synth(60);
    let manifest = manifest.to_str().unwrap();
    cluster.json(&[&["run", manifest, "--dataset", "d"], QUICK].concat());

    // What it must come to, without a queue and in one go. It shows how long it takes, too.
    let settings = [
        "train",
        "--dataset",
        "d",
        "--architecture",
        "seed-cnn-mlp",
        "--channels",
        "4,8",
        "--image-units",
        "8",
        "--threads",
        "1",
        "--epochs",
        "100000",
        "--patience",
        &(700 * scale()).to_string(),
    ];
    let start = Instant::now();
    let alone = cluster.json(&[&settings[..], &["--queue", "", "--model", "alone"]].concat());
    let took = start.elapsed();
    assert!(took > 2 * consumer_timeout, "it took {took:?} only, which proves nothing");

    let _coordinator = cluster.coordinator();
    let mut first = trainer(&mut cluster);
    until(&cluster, &first, "trainer ready");
    let asked = cluster.json(&[&settings[..], &["--model", "asked"]].concat());
    let run = asked["run"].as_str().unwrap();
    let start = Instant::now();
    while cluster.json(&["runs", "show", run])["run"]["checkpoint"].as_u64() <= Some(20) {
        assert!(start.elapsed() < Duration::from_secs(60), "{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(200));
    }
    // The one that is at it dies; another goes on from its checkpoint.
    let mut second = trainer(&mut cluster);
    kill(&mut first);
    until(&cluster, &second, "goes on from step");
    // That one is stopped, and hands over.
    assert_eq!(second.stop(), Some(0), "{}", second.log());
    assert!(second.log().contains("handed over"), "{}", second.log());
    let third = trainer(&mut cluster);
    until(&cluster, &third, "goes on from step");
    let fourth = trainer(&mut cluster);
    let followed = cluster.json(&[&settings[..], &["--model", "asked", "--wait"]].concat());
    assert_eq!(followed["run"], asked["run"]);
    // Nobody else was at it meanwhile, and it is the same as in one go.
    assert!(!fourth.log().contains("goes on from step"), "{}", fourth.log());
    let weights = |trained: &Value| {
        object(&cluster, &format!("{}weights.safetensors", trained["model"].as_str().unwrap()))
    };
    assert_eq!(weights(&followed), weights(&alone));
    let scores = |trained: &Value| {
        let evaluation = &trained["evaluation"];
        (evaluation["test"].clone(), evaluation["ridge"]["scores"].clone())
    };
    assert_eq!(scores(&followed), scores(&alone));
}

#[test]
fn a_training_that_cannot_be_is_said_to_be_so() {
    let mut cluster = Cluster::start();
    // No ages, nothing to learn.
    let manifest = cluster.place.synth(8);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replacen("age", "how_old", 1)).unwrap();
    let submit = ["submit", manifest.to_str().unwrap(), "--dataset", "d", "--upload"];
    let _services = (cluster.coordinator(), cluster.worker());
    cluster.json(&submit);
    cluster.sealed("d", |_| {});
    let _trainer = trainer(&mut cluster);
    let output =
        cluster.command(&["train", "--dataset", "d", "--wait", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = common::stderr(&output);
    assert!(said.contains("no usable recording with an age"), "{said}\n{}", cluster.logs());
    // Asked for again, it is tried again.
    let again = cluster.json(&["train", "--dataset", "d"]);
    assert_eq!(again["ask"], 2);
}
