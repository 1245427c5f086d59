//! The job across processes, over a real RabbitMQ and a real S3 server.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use common::cluster::{Cluster, Service};
use common::{data, sealed_rows};
use serde_json::Value;
use voxage_contract::{SealedManifest, keys};
use voxage_shards::{Columns, Row, Shard};
use voxage_transport::{Store as _, StoreExt as _};

/// Every row that a sealed manifest of the cluster's store counts, by id.
fn rows(cluster: &Cluster, manifest: &str) -> BTreeMap<String, Row> {
    cluster.runtime.block_on(async {
        let store = cluster.s3.store("root").await.unwrap();
        let sealed: SealedManifest =
            serde_json::from_slice(&store.get(manifest).await.unwrap()).unwrap();
        let mut rows = BTreeMap::new();
        for entry in &sealed.shards {
            let key = keys::shard(&sealed.dataset, &sealed.spec_id, &entry.id);
            let shard = Shard::open(store.get(&key).await.unwrap()).unwrap();
            for row in shard.rows(Columns::All).unwrap() {
                let row = row.unwrap();
                assert!(rows.insert(row.recording.id.clone(), row).is_none());
            }
        }
        rows
    })
}

/// The same manifest in one process and across processes: the same features. `roots` are
/// the services' audio roots; gives a coordinator and three workers, still at work.
fn the_same_rows(
    manifest: &Path,
    alone: (&Path, &str),
    cluster: &mut Cluster,
    roots: &str,
    submit: &[&str],
) -> Vec<Service> {
    let expected = sealed_rows(alone.0, alone.1);
    let worker = ["feature-worker", "--slots", "2", "--audio-roots", roots];
    let mut services = vec![cluster.service_with(&["coordinator", "--audio-roots", roots], |_| {})];
    services.extend([(); 3].map(|()| cluster.service_with(&worker, |_| {})));
    cluster.json(&[&["submit", manifest.to_str().unwrap(), "--dataset", "d"], submit].concat());
    let verified = cluster.sealed("d", |_| {});
    let found = rows(cluster, verified["manifest"].as_str().unwrap());
    assert_eq!(found.len(), expected.len());
    for (id, row) in expected {
        match (&row.outcome, &found[&id].outcome) {
            (Ok(expected), Ok(found)) => {
                assert_eq!(expected.tabular, found.tabular, "{id}");
                assert_eq!(expected.mel, found.mel, "{id}");
            }
            (Err(expected), Err(found)) => assert_eq!(expected.code, found.code, "{id}"),
            other => panic!("{id}: {other:?}"),
        }
    }
    services
}

/// The features of a manifest, made in one process: the root, and its sealed manifest.
fn alone(cluster: &Cluster, manifest: &Path) -> (std::path::PathBuf, String) {
    let root = cluster.place.text("alone");
    let answer = common::run(manifest, &root, &["--dataset", "d"]);
    (cluster.place.path("alone"), answer["manifest"].as_str().unwrap().to_owned())
}

/// Asks again until an answer is as it should be.
fn until(cluster: &Cluster, args: &[&str], ends: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let answer = cluster.json(args);
        if ends(&answer) {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{answer}\n{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn workers_make_what_one_process_makes() {
    let mut cluster = Cluster::start();
    let manifest = cluster.place.synth(60);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text + "gone,audio/gone.wav,30,,\n").unwrap();
    let (root, sealed) = alone(&cluster, &manifest);
    let (roots, submit) = (cluster.place.text(""), ["--upload", "--shard-recordings", "7"]);
    let _services = the_same_rows(&manifest, (&root, &sealed), &mut cluster, &roots, &submit);

    let rejects = cluster.command(&["rejects", "d"]).output().unwrap();
    let rejects = common::stdout(&rejects);
    let mut lines = rejects.lines();
    assert_eq!(lines.next(), Some("id,path,stage,code,message"));
    assert!(
        lines.next().unwrap().starts_with("gone,audio/gone.wav,fetch,missing_audio,"),
        "{rejects}"
    );
    let status = cluster.json(&["status", "d"]);
    assert_eq!(status["queue"]["workers"].as_array().unwrap().len(), 3, "{status}");
    assert_eq!(status["queue"]["dead"], 0);

    // The same again is no work; more rows are only those; a cancelled batch is taken back.
    let again = ["submit", manifest.to_str().unwrap(), "--dataset", "d", "--upload"];
    assert_eq!(cluster.json(&again)["batch"], "d@2");
    cluster.sealed("d", |_| {});
    assert_eq!(cluster.json(&["status", "d"])["datasets"][0]["batches"][1]["counting"], 0);
    let text = std::fs::read_to_string(&manifest).unwrap();
    let more = text.replace("gone,audio/gone.wav", "gone2,audio/gone2.wav");
    std::fs::write(&manifest, more).unwrap();
    assert_eq!(cluster.json(&again)["batch"], "d@3");
    let verified = cluster.sealed("d", |_| {});
    assert_eq!((&verified["submitted"], &verified["rejects"]), (&62.into(), &2.into()));
    cluster.json(&["cancel", "d@3"]);
    let verified = cluster.sealed("d", |_| {});
    assert_eq!((&verified["submitted"], &verified["rejects"]), (&61.into(), &1.into()));
}

#[test]
fn real_recordings_are_the_same_too() {
    let Some(folder) = data("saa") else { return };
    let mut cluster = Cluster::start();
    let manifest = folder.join("recordings.csv");
    let (root, sealed) = alone(&cluster, &manifest);
    let roots = folder.to_str().unwrap().to_owned();
    let submit = ["--shard-recordings", "16"];
    the_same_rows(&manifest, (&root, &sealed), &mut cluster, &roots, &submit);
}

#[test]
fn a_stopped_worker_hands_back_and_a_foreign_root_is_refused() {
    let mut cluster = Cluster::start();
    let manifest = cluster.place.synth(40);
    let submit =
        ["submit", manifest.to_str().unwrap(), "--dataset", "d", "--shard-recordings", "4"];
    // A coordinator that may not read the audio says why it does not go on.
    let mut blind = cluster.service_with(&["coordinator"], |_| {});
    cluster.json(&submit);
    until(&cluster, &["status", "d"], |status| {
        status["queue"]["troubles"]["d"].as_str().is_some_and(|why| why.contains("audio_roots"))
    });
    assert_eq!(blind.stop(), Some(0));
    let (mut coordinator, mut worker) = (cluster.coordinator(), cluster.worker());
    std::thread::sleep(Duration::from_millis(2000));
    let start = Instant::now();
    assert_eq!(worker.stop(), Some(0), "{}", worker.log());
    assert!(start.elapsed() < Duration::from_secs(35));
    assert!(worker.log().contains("feature worker stopped"), "{}", worker.log());
    // A worker that may not read the audio puts its tasks aside and says why.
    let mut blind = cluster.service_with(&["feature-worker", "--slots", "2"], |_| {});
    let other = cluster.place.path("other.csv");
    std::fs::copy(&manifest, &other).unwrap();
    let voices = manifest.parent().unwrap().to_str().unwrap().to_owned();
    let other = other.to_str().unwrap().to_owned();
    cluster.json(&["submit", &other, "--dataset", "e", "--audio-root", &voices]);
    let letters = |dead: &Value| dead["dead"].as_array().map_or(0, Vec::len);
    let dead = until(&cluster, &["dead", "list"], |dead| letters(dead) > 0);
    assert!(dead.to_string().contains("audio_roots"), "{dead}");
    assert_eq!(blind.stop(), Some(0));
    // A coordinator hands out by itself what nobody works on: not while a person does it.
    assert_eq!(coordinator.stop(), Some(0));
    let secret = cluster.broker.url().split([':', '@']).nth(2).unwrap().to_owned();
    assert!(!cluster.logs().contains(&secret), "the broker's password is in a log");

    // One that may read it makes them; letters about what is made are dropped.
    let _worker = cluster.worker();
    let dead = cluster.json(&["dead", "list"]);
    cluster.json(&["dead", "requeue", dead["dead"][0]["shard"].as_str().unwrap()]);
    let mut coordinator = cluster.coordinator();
    cluster.sealed("d", |_| {});
    cluster.sealed("e", |_| {});
    until(&cluster, &["dead", "list"], |dead| letters(dead) == 0);
    assert_eq!(coordinator.stop(), Some(0));
    assert_eq!(coordinator.log().matches("panicked").count(), 0);
    let keys = cluster.runtime.block_on(async {
        let store = cluster.s3.store("root").await.unwrap();
        store.keys("").await.unwrap()
    });
    assert!(keys.iter().all(|key| keys::is_known(key)), "{keys:?}");
}
