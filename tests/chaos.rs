//! Faults while a batch is at work. After each, every submitted id is in the sealed data
//! set exactly once, and nobody had to help.
//!
//! `VOXAGE_TEST_CHAOS=10` makes batches, and so the time of the faults, ten times as large.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::cluster::{Cluster, Service};
use common::proxy::Fault;
use serde_json::Value;
use voxage_contract::FeatureSpec;
use voxage_coordinator::dispatch::Missing;

fn scale() -> usize {
    std::env::var("VOXAGE_TEST_CHAOS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Recordings of a batch, at the least scale.
const BATCH: usize = 300;

fn submit(cluster: &Cluster, more: &[&str]) {
    let manifest = cluster.place.synth_of(BATCH * scale(), "10");
    hand_in(cluster, &manifest, more);
}

fn hand_in(cluster: &Cluster, manifest: &Path, more: &[&str]) {
    let submitted = || {
        let status = cluster.command(&["status", "d", "--queue", "", "--json"]).output().unwrap();
        let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        status["datasets"][0]["submitted"].as_u64().unwrap_or(0)
    };
    let before = submitted();
    let base = ["submit", manifest.to_str().unwrap(), "--dataset", "d", "--shard-recordings", "5"];
    cluster.json(&[&base[..], &["--tabular", "compat,clean"], more].concat());
    let start = Instant::now();
    // Faults are to fall among the work, not before it.
    while submitted() == before {
        assert!(start.elapsed() < Duration::from_secs(60), "{}", cluster.logs());
    }
}

/// Makes sure that a fault falls among work: while there is little left, more is submitted, and
/// more again if that was done at once.
fn at_work(cluster: &Cluster, more: &[&str]) {
    static BATCHES: AtomicUsize = AtomicUsize::new(0);
    let enough = || {
        let status = cluster.json(&["status", "d", "--queue", ""]);
        status["datasets"][0]["left"].as_u64().unwrap() >= BATCH as u64 / 2
    };
    for times in [1, 4, 16] {
        if enough() {
            return;
        }
        let voices = cluster.place.path("voices");
        let table = std::fs::read_to_string(voices.join("recordings.csv")).unwrap();
        let (header, rows) = table.split_once('\n').unwrap();
        let batch = BATCHES.fetch_add(1, Ordering::SeqCst);
        let again = |time| rows.lines().map(move |row| format!("again{batch}-{time}-{row}\n"));
        let rows: String = (0..times).flat_map(again).collect();
        let manifest = voices.join(format!("again{batch}.csv"));
        std::fs::write(&manifest, format!("{header}\n{rows}")).unwrap();
        hand_in(cluster, &manifest, more);
    }
    assert!(enough(), "all was done at once");
}

/// A moment that looks random and is the same in each run.
fn chance(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn workers_are_killed_all_along() {
    let mut cluster = Cluster::start();
    let _coordinator = cluster.coordinator();
    let mut workers: Vec<Service> = (0..5).map(|_| cluster.worker()).collect();
    submit(&cluster, &[]);
    let (mut random, mut kills) = (7, 0);
    let (start, mut cluster) = (Instant::now(), cluster);
    // Killed five at a time, at random moments, then left alone to come to an end. What it takes
    // to hand in more does not count.
    let shortest = Duration::from_secs(15 * scale() as u64);
    while start.elapsed() < shortest || kills < 20 {
        std::thread::sleep(Duration::from_millis(500 + chance(&mut random) % 2500));
        if kills == 5 {
            at_work(&cluster, &[]);
        }
        for worker in &mut workers {
            worker.kill();
            kills += 1;
        }
        workers = (0..5).map(|_| cluster.worker()).collect();
    }
    cluster.sealed("d", |_| {});
}

#[test]
fn coordinators_are_killed_all_along() {
    let mut cluster = Cluster::start();
    let mut coordinators = [cluster.coordinator(), cluster.coordinator()];
    let _worker = cluster.worker();
    let mut random = 3;
    submit(&cluster, &[]);
    for round in 0..6 * scale() {
        std::thread::sleep(Duration::from_millis(200 + chance(&mut random) % 1800));
        if round == 2 {
            at_work(&cluster, &[]);
        }
        coordinators[round % 2].kill();
        coordinators[round % 2] = cluster.coordinator();
    }
    cluster.sealed("d", |_| {});
}

#[test]
fn the_broker_is_stopped_and_erased() {
    let mut cluster = Cluster::start();
    let _services = (cluster.coordinator(), [cluster.worker(), cluster.worker()]);
    submit(&cluster, &[]);
    std::thread::sleep(Duration::from_secs(3));
    at_work(&cluster, &[]);
    cluster.broker.stop();
    std::thread::sleep(Duration::from_secs(2));
    cluster.broker.start_again();
    std::thread::sleep(Duration::from_secs(1));
    at_work(&cluster, &[]);
    cluster.broker.kill();
    cluster.broker.erase();
    cluster.broker.start_again();
    cluster.sealed("d", |_| {});
}

#[test]
fn the_store_is_away_slow_and_forgetful() {
    let mut cluster = Cluster::start();
    let _services = (cluster.coordinator(), [cluster.worker(), cluster.worker()]);
    submit(&cluster, &["--upload"]);
    let away = Duration::from_secs(if scale() > 1 { 60 } else { 8 });
    for (fault, length) in [
        (Fault::LosingAnswers, away / 2),
        (Fault::Busy, away),
        (Fault::Slow, away / 2),
        (Fault::Breaking, away / 2),
        (Fault::Cut, away),
    ] {
        if fault == Fault::Busy || fault == Fault::LosingAnswers {
            at_work(&cluster, &["--upload"]);
        }
        cluster.s3_proxy.set(fault);
        std::thread::sleep(length);
        cluster.s3_proxy.set(Fault::None);
        std::thread::sleep(Duration::from_secs(1));
    }
    cluster.sealed("d", |_| {});
}

#[test]
fn a_worker_is_cut_off_from_the_broker() {
    let mut cluster = Cluster::start();
    let _coordinator = cluster.coordinator();
    let queue = format!("{}?heartbeat=3", cluster.proxied_queue());
    let mut cut_off = cluster.worker_with(|command| {
        command.env("VOXAGE_QUEUE", &queue);
    });
    let other = cluster.worker();
    submit(&cluster, &[]);
    std::thread::sleep(Duration::from_secs(3));
    at_work(&cluster, &[]);
    cluster.broker_proxy.set(Fault::Cut);
    std::thread::sleep(Duration::from_secs(8));
    cluster.broker_proxy.set(Fault::None);
    // Alone now, it must have found its way back.
    drop(other);
    at_work(&cluster, &[]);
    cluster.sealed("d", |_| {});
    assert!(cut_off.lives(), "{}", cut_off.log());
}

#[test]
fn a_recording_that_kills_its_process_costs_one_reject() {
    let mut cluster = Cluster::start();
    let shim = poison(&cluster);
    let _coordinator = cluster.coordinator();
    let manifest = cluster.place.synth(30);
    let text = std::fs::read_to_string(&manifest).unwrap();
    let second = text.lines().nth(2).unwrap().split(',').nth(1).unwrap().to_owned();
    let folder = manifest.parent().unwrap();
    std::fs::copy(folder.join(&second), folder.join("poison.wav")).unwrap();
    std::fs::write(&manifest, text.replace(&second, "poison.wav")).unwrap();
    let poisoned = |cluster: &mut Cluster| {
        cluster.worker_with(|command| {
            command.env("LD_PRELOAD", &shim);
        })
    };
    let mut workers: Vec<Service> = (0..2).map(|_| poisoned(&mut cluster)).collect();
    let base = ["submit", manifest.to_str().unwrap(), "--dataset", "d", "--shard-recordings", "10"];
    cluster.json(&base);
    let mut died = 0;
    let mut cluster = cluster;
    let start = Instant::now();
    // Whoever runs workers starts them again when they die.
    let sealed = loop {
        for worker in &mut workers {
            if !worker.lives() {
                died += 1;
                *worker = poisoned(&mut cluster);
            }
        }
        let status = cluster.json(&["status", "d", "--queue", ""]);
        if status["datasets"][0]["sealed"] == true {
            break cluster.sealed("d", |_| {});
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(died >= 1, "nothing was poisoned");
    assert_eq!((&sealed["rows"], &sealed["rejects"]), (&29.into(), &1.into()), "{sealed}");
    let rejects = cluster.command(&["rejects", "d"]).output().unwrap();
    assert!(common::stdout(&rejects).contains(",poison.wav,extract,crashed,"));
}

/// A library that aborts any process that opens a file named poison.
fn poison(cluster: &Cluster) -> PathBuf {
    let source = cluster.place.write(
        "poison.c",
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <fcntl.h>\n#include <stdarg.h>\n\
         #include <stdlib.h>\n#include <string.h>\n\
         int open64(const char *path, int flags, ...) {\n\
           va_list more; va_start(more, flags); int mode = va_arg(more, int); va_end(more);\n\
           if (strstr(path, \"poison.wav\")) abort();\n\
           int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, \"open64\");\n\
           return real(path, flags, mode);\n}\n",
    );
    let library = cluster.place.path("poison.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status()
        .unwrap();
    assert!(built.success());
    library
}

#[test]
fn every_task_is_delivered_twice() {
    let mut cluster = Cluster::start();
    let _services = (cluster.coordinator(), [cluster.worker(), cluster.worker()]);
    submit(&cluster, &[]);
    let cluster = &cluster;
    cluster.runtime.block_on(async {
        let store = cluster.s3.store("root").await.unwrap();
        let amqp = voxage_transport::Amqp::open(cluster.broker.url(), "voxage").await.unwrap();
        let tasks = amqp.queue("tasks").await.unwrap();
        let tabular = serde_json::from_str(r#"["compat","clean"]"#).unwrap();
        let spec = FeatureSpec { tabular, ..FeatureSpec::default() };
        let dataset = "d".parse().unwrap();
        for _ in 0..2 {
            let missing = Missing::find(&store, &dataset, &spec).await.unwrap();
            missing.publish(&store, |_| &tasks, |_| true).await.unwrap();
        }
    });
    cluster.sealed("d", |_| {});
}

#[test]
fn a_worker_without_room_on_its_disk_hands_its_tasks_to_others() {
    let mut cluster = Cluster::start();
    let full = cluster.place.path("full");
    std::fs::create_dir(&full).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&full).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: only root can make a disk that is full");
        return;
    }
    let _coordinator = cluster.coordinator();
    let cramped = cluster.worker_with(|command| {
        command.env("TMPDIR", &full);
    });
    // An hour: more than is held in memory.
    let folder = cluster.place.path("voices");
    std::fs::create_dir_all(&folder).unwrap();
    let second: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.07).sin() * 0.3).collect();
    std::fs::write(
        folder.join("long.wav"),
        voxage_extract::synth::wav_bytes(&second.repeat(1300), 16_000),
    )
    .unwrap();
    let manifest = cluster.place.write("voices/long.csv", "id,path,age\n1,long.wav,30\n");
    cluster.json(&["submit", &manifest, "--dataset", "d", "--upload"]);
    let start = Instant::now();
    while !cramped.log().contains("No space left") {
        assert!(start.elapsed() < Duration::from_secs(60), "{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(200));
    }
    let _roomy = cluster.worker();
    let verified = cluster.sealed("d", |_| {});
    let unmounted = Command::new("umount").arg("-l").arg(&full).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(verified["rows"], 1);
}
