//! Predictions of whole data sets from their features: in one process, and over the queue.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::cluster::Cluster;
use common::{Place, call, json, run, stderr};
use serde_json::Value;
use voxage_shards::table;

/// What the Parquet files of a folder say: predicted age and ends of the interval, by id.
fn parquet(folder: &Path) -> BTreeMap<String, Vec<Option<f64>>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let table = table::open(&entry.unwrap().path()).unwrap();
        assert_eq!(table.header, ["id", "path", "age", "low", "high", "warnings", "model"]);
        for row in table.rows {
            let cells = row.unwrap().unwrap().cells;
            let numbers = cells[2..5].iter().map(|cell| cell.parse().ok()).collect();
            assert!(all.insert(cells[0].clone(), numbers).is_none());
        }
    }
    all
}

#[test]
fn a_data_set_is_predicted_as_its_recordings_are() {
    let place = Place::new();
    let manifest = place.synth(40);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text + "gone,audio/gone.wav,,,\n").unwrap();
    let (root, out) = (place.text("root"), place.text("out"));
    run(&manifest, &root, &["--dataset", "d", "--shard-recordings", "16"]);
    let manifest = manifest.to_str().unwrap();
    let args = ["predict", "--root", &root, "--manifest", manifest, "--json"];
    let single = json(&args);
    let predict =
        |more: &[&str]| call(&[&["predict", "--root", &root, "--dataset", "d"], more].concat());
    let done = predict(&["--out", &out, "--json"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&answer["files"], &answer["model"]), (&3.into(), &single["model"]));
    let found = parquet(&place.path("out"));
    assert_eq!(found.len(), 41);
    for one in single["predictions"].as_array().unwrap() {
        let found = &found[one["id"].as_str().unwrap()];
        let expected = [&one["age"], &one["interval"][0], &one["interval"][1]];
        for (found, expected) in found.iter().zip(expected.map(Value::as_f64)) {
            let same = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-3,
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(same, "{one} {found:?}");
        }
    }
    assert_eq!(found["gone"][0], None);

    // Again is nothing new; a second model in the same place is refused; a part that is lost
    // is made again.
    let objects = common::objects(&place.path("root"));
    assert!(predict(&["--out", &out]).status.success());
    assert_eq!(common::objects(&place.path("root")), objects);
    json(&["train", "--root", &root, "--architecture", "ridge", "--json"]);
    let refused = predict(&["--out", &out, "--model", "age@newest"]);
    assert!(stderr(&refused).contains("a place of its own"), "{}", stderr(&refused));
    let part = objects.iter().find(|key| key.starts_with("predictions/")).unwrap();
    std::fs::remove_file(place.path("root").join(part)).unwrap();
    let again = predict(&["--out", &out, "--model", "age@1"]);
    assert!(again.status.success(), "{}", stderr(&again));
    let verified = call(&["verify", "d", "--root", &root]);
    assert!(verified.status.success(), "{}", common::stdout(&verified));
    for (args, code, said) in [
        (&["--out", "x", "a.wav"][..], 2, "either --dataset"),
        (&[], 2, "say with --out"),
        (&["--out", "x", "--model", "none"], 1, "no model 'none'"),
        (&["--out", &place.text("root/out")], 2, "within the root"),
    ] {
        let refused = predict(args);
        assert_eq!(refused.status.code(), Some(code), "{args:?}");
        assert!(stderr(&refused).contains(said), "{args:?}: {}", stderr(&refused));
    }
}

#[test]
fn predictors_share_a_data_set_and_one_may_die() {
    let mut cluster = Cluster::start();
    let manifest = cluster.place.synth(60);
    let _services = (cluster.coordinator(), cluster.worker());
    let manifest = manifest.to_str().unwrap().to_owned();
    cluster.json(&["submit", &manifest, "--dataset", "d", "--shard-recordings", "2"]);
    cluster.sealed("d", |_| {});
    cluster.json(&["train", "--dataset", "d", "--architecture", "ridge", "--queue", ""]);
    let mut first = cluster.service_with(&["predictor"], |_| {});
    let (out, job) = (cluster.place.text("out"), ["predict", "--dataset", "d", "--json"]);
    let mut predict = cluster.command(&[&job[..], &["--out", &out]].concat());
    let predict = predict.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let logged = || first.log().contains("predictor ready");
    while !logged() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    first.kill();
    let mut second = cluster.service_with(&["predictor"], |_| {});
    let done = predict.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", cluster.logs());
    assert_eq!(parquet(&cluster.place.path("out")).len(), 60);
    assert_eq!(second.stop(), Some(0), "{}", second.log());
}
