//! Batches of several users, some of them odd, over a real RabbitMQ and a real S3 server.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::cluster::Cluster;
use common::{stderr, stdout};
use serde_json::Value;

/// Asks for the status until it is as it should be.
fn status(cluster: &Cluster, dataset: &str, ends: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let status = cluster.json(&["status", dataset]);
        if ends(&status) {
            return status;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{status}\n{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn an_upload_keeps_every_row_and_no_odd_path_holds_the_others() {
    let mut cluster = Cluster::start();
    let voices = cluster.place.synth(4);
    let audio = voices.parent().unwrap().join("audio");
    let files: Vec<String> = std::fs::read_dir(&audio)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .collect();
    let rows = [
        ("plain", format!("audio/{}", files[0])),
        ("doubled", format!("audio//{}", files[1])),
        ("trailing", format!("audio/{}/", files[2])),
        ("url", "http://host/x.wav".into()),
        ("backslash", format!("..\\audio\\{}", files[3])),
        ("gone", "audio/gone.wav".into()),
        ("long", format!("{}.wav", "x".repeat(1100))),
    ];
    let text = rows.iter().map(|(id, path)| format!("{id},{path},30\n")).collect::<String>();
    let manifest = voices.parent().unwrap().join("odd.csv");
    std::fs::write(&manifest, format!("id,path,age\n{text}old,audio/{},300\n", files[3])).unwrap();
    let (_coordinator, _worker) = (cluster.coordinator(), cluster.worker());
    let submit = ["submit", manifest.to_str().unwrap(), "--dataset", "odd", "--upload", "--json"];
    let submitted = cluster.command(&submit).output().unwrap();
    assert!(stderr(&submitted).contains("1 rows will be rejects"), "{}", stderr(&submitted));
    let submitted: Value = serde_json::from_slice(&submitted.stdout).unwrap();
    assert_eq!(submitted["recordings"], 8);
    let verified = cluster.sealed("odd", |_| {});
    assert_eq!((&verified["rows"], &verified["rejects"]), (&3.into(), &5.into()), "{verified}");
    let rejects = stdout(&cluster.command(&["rejects", "odd"]).output().unwrap());
    for line in ["url,http:/host/x.wav,fetch", "gone,audio/gone.wav,fetch,missing_audio", "old,"] {
        assert!(rejects.contains(line), "{rejects}");
    }
    assert!(rejects.contains(&format!("old,audio/{},intake", files[3])), "{rejects}");

    // The same in a bucket: what the server takes for no key is a reject, too.
    let bucket = cluster.s3.uri("root/datasets/odd/audio");
    let key = files[0].clone();
    let manifest = cluster.place.write("keys.csv", &format!("id,path\na,{key}\nb,..\\b.wav\n"));
    cluster.json(&["submit", &manifest, "--dataset", "keys", "--audio-root", &bucket]);
    let verified = cluster.sealed("keys", |_| {});
    assert_eq!(verified["rejects"], 2, "{verified}");
}

#[test]
fn a_batch_that_nobody_can_read_keeps_no_other_from_its_end() {
    let mut cluster = Cluster::start();
    let mine = cluster.place.synth(6);
    let roots = mine.parent().unwrap().to_str().unwrap().to_owned();
    let other = cluster.place.write("elsewhere/m.csv", "id,path\nx,x.wav\n");
    let _coordinator = cluster.service_with(&["coordinator", "--audio-roots", &roots], |_| {});
    let _worker = cluster.worker();
    let mine = ["submit", mine.to_str().unwrap(), "--dataset", "d", "--wait"];
    let waits = cluster.command(&mine).spawn().unwrap();
    while !cluster.command(&["status", "d", "--queue", ""]).output().unwrap().status.success() {
        std::thread::sleep(Duration::from_millis(50));
    }
    cluster.json(&["submit", &other, "--dataset", "d"]);
    assert!(waits.wait_with_output().unwrap().status.success(), "{}", cluster.logs());
    let looked = status(&cluster, "d", |status| !status["queue"]["troubles"]["d"].is_null());
    let batches = &looked["datasets"][0]["batches"];
    assert_eq!((&batches[0]["sealed"], &batches[1]["sealed"]), (&true.into(), &false.into()));
    let why = looked["queue"]["troubles"]["d"].as_str().unwrap().to_owned();
    assert!(why.contains("batch d@2 cannot be planned") && why.contains("cancel d@2"), "{why}");
    // Who waits for a batch that is cancelled is told.
    let mut waits = cluster.command(&["submit", &other, "--dataset", "d", "--wait"]);
    let waits = waits.spawn().unwrap();
    status(&cluster, "d", |status| status["datasets"][0]["batches"][2]["state"] == "submitted");
    cluster.json(&["cancel", "d@2"]);
    cluster.json(&["cancel", "d@3"]);
    assert_eq!(waits.wait_with_output().unwrap().status.code(), Some(1));
    let verified = cluster.sealed("d", |_| {});
    assert_eq!(verified["submitted"], 6);
    let named = |text: &str| cluster.logs().matches(text).count();
    assert!(named("will be tried again, and again") <= 2, "{}", cluster.logs());
}

#[test]
fn a_damaged_shard_is_found_and_hides_no_other_data_set() {
    let place = common::Place::new();
    let root = place.text("root");
    let manifest = place.synth(8);
    common::run(&manifest, &root, &["--dataset", "good"]);
    common::run(&manifest, &root, &["--dataset", "bad"]);
    let shard = common::objects(&place.path("root"))
        .into_iter()
        .find(|key| key.starts_with("datasets/bad/shards/"))
        .unwrap();
    let shard = place.path("root").join(shard);
    let whole = std::fs::read(&shard).unwrap();
    for share in [0.1, 0.33, 0.5, 0.9] {
        let mut flipped = whole.clone();
        flipped[(share * whole.len() as f64) as usize] ^= 1;
        std::fs::write(&shard, flipped).unwrap();
        let verified = common::call(&["verify", "bad", "--root", &root]);
        assert_eq!(verified.status.code(), Some(1), "{share}: {}", stdout(&verified));
    }
    std::fs::write(&shard, &whole[..1000]).unwrap();
    let status = common::call(&["status", "--root", &root]);
    assert_eq!(status.status.code(), Some(1));
    let told = stdout(&status);
    assert!(told.contains("good: 8 recordings") && told.contains("bad: damaged:"), "{told}");
}

#[test]
fn a_night_does_not_wait_for_a_backfill_nor_the_other_way_round() {
    let mut cluster = Cluster::start();
    let voices = cluster.place.synth(60);
    let text = std::fs::read_to_string(&voices).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let audio = voices.parent().unwrap().to_str().unwrap().to_owned();
    let mut table = header.to_owned() + "\n";
    for copy in 0..40 {
        for row in rows.lines() {
            table += &format!("{copy}-{row}\n");
        }
    }
    let backfill = cluster.place.write("backfill.csv", &table);
    std::fs::create_dir(cluster.place.path("nights")).unwrap();
    std::fs::copy(&voices, cluster.place.path("nights/one.csv")).unwrap();
    let source = cluster.place.text("nights");
    let _coordinator = cluster.coordinator();
    let root = ["--audio-root", &audio, "--shard-recordings", "20"];
    cluster.json(&[&["submit", &backfill, "--dataset", "all"], &root[..]].concat());
    // It fires by itself, at the next full minute.
    let add = ["schedule", "add", "nightly", "--cron", "* * * * *", "--source", &source];
    cluster.json(&[&add[..], &["--dataset", "night"], &root].concat());
    // 120 tasks and 3 wait; those of the night come last.
    status(&cluster, "all", |status| status["queue"]["ready"] == 123);
    let _worker = cluster.service_with(
        &["feature-worker", "--slots", "1", "--audio-roots", &cluster.place.text("")],
        |_| {},
    );
    cluster.sealed("night", |_| {});
    let all = cluster.json(&["status", "all"])["datasets"][0].clone();
    let (rows, left) = (all["rows"].as_u64().unwrap(), all["left"].as_u64().unwrap());
    assert!(rows > 0 && left > 1200, "{all}");
    cluster.sealed("all", |_| {});
}
