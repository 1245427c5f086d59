//! Training reads a data set from S3 as from a directory, in an order that can be looked at.

mod common;

use common::{Place, QUICK, call, command, json, run, stderr, stdout};
use serde_json::Value;
use voxage_transport::Store as _;
use voxage_transport::testing::TestS3;

#[test]
fn a_model_from_s3_is_the_one_from_a_directory() {
    let place = Place::new();
    let manifest = place.synth(60);
    let near = place.text("root");
    let small = ["--shard-recordings", "7"];
    let model = run(&manifest, &near, &small)["model"].as_str().unwrap().to_owned();
    let weights = format!("{model}weights.safetensors");
    let expected = std::fs::read(place.path("root").join(&weights)).unwrap();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let s3 = runtime.block_on(TestS3::start());
    let (far, cache) = (s3.uri("root"), place.text("cache"));
    let at_s3 = |args: &[&str]| -> Value {
        let mut command =
            command(&[args, &["--root", far.trim_end_matches('/'), "--json"]].concat());
        let output = command.envs(s3.env().iter().cloned()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let cached = ["--cache-folder", &cache, "--cache-mib", "100"];
    let args = [&["run", manifest.to_str().unwrap()], QUICK, &small, &cached].concat();
    let trained = at_s3(&args);
    assert_eq!(trained["model"], model);
    let store = runtime.block_on(s3.store("root")).unwrap();
    let found = runtime.block_on(store.get(&weights)).unwrap();
    assert!(found == expected, "another model");
    let kept = std::fs::read_dir(place.path("cache/voxage-shards")).unwrap().count();
    assert!(kept > 60 / 7, "{kept} files in the cache");

    let evaluated = at_s3(&[&["evaluate"][..], &cached].concat());
    assert_eq!(evaluated["evaluation"], trained["evaluation"]);
    let voice = manifest.with_file_name("audio").join("v0000-0.wav");
    let predicted = at_s3(&["predict", voice.to_str().unwrap()]);
    assert!(predicted["predictions"][0]["age"].as_f64().unwrap() > 0.0);

    let args = ["train", "--cache-mib", "1000000000000", "--cache-folder", &cache, "--seed", "2"];
    let output = command(&[&args[..], &["--root", &far], QUICK].concat())
        .envs(s3.env().iter().cloned())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("lower the limit"), "{}", stderr(&output));
}

#[test]
fn an_order_is_shown() {
    let place = Place::new();
    let manifest = place.synth(60);
    let root = place.text("root");
    run(&manifest, &root, &["--shard-recordings", "7"]);
    let order = |more: &[&str]| {
        json(&[&["dataset", "order", "--root", &root, "--json", "--ids"], more].concat())
    };
    let ids = |answer: &Value| -> Vec<String> {
        let samples = answer["order"].as_array().unwrap().iter();
        samples.map(|sample| sample["id"].as_str().unwrap().to_owned()).collect()
    };
    let first = order(&[]);
    assert_eq!(
        (&first["epoch"], &first["seed"], &first["split"]),
        (&1.into(), &1.into(), &"train".into())
    );
    assert_eq!(ids(&first).len() as u64, first["samples"].as_u64().unwrap());
    assert!(first["correlation"]["storage"].as_f64().unwrap().abs() < 0.7);
    assert_eq!(first, order(&["--epoch", "1"]));
    assert_ne!(ids(&first), ids(&order(&["--epoch", "2"])));
    assert_ne!(ids(&first), ids(&order(&["--seed", "2"])));
    let of_split = |split: &str| ids(&order(&["--split", split]));
    let mut all = [ids(&first), of_split("validation"), of_split("test")].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 60);

    let text = call(&["dataset", "order", "--root", &root, "--ids"]);
    let text = stdout(&text);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].contains("rank correlation"), "{text}");
    let (id, shard) = lines[2].split_once('\t').unwrap();
    assert_eq!((id, shard), (&*ids(&first)[0], first["order"][0]["shard"].as_str().unwrap()));
    let refused = call(&["dataset", "order", "--root", &root, "--epoch", "0"]);
    assert_eq!(refused.status.code(), Some(2));
}
