//! Shards open in what people use: pyarrow, pandas, Polars and DuckDB.

mod common;

use std::process::Command;

use common::{Place, json, objects, run, stderr, stdout};

#[test]
fn python_reads_a_shard_and_its_spectrograms() {
    let Some(python) = std::env::var_os("VOXAGE_PYTHON") else {
        eprintln!("SKIPPED: VOXAGE_PYTHON names no Python; `make test` sets it");
        return;
    };
    let place = Place::new();
    let manifest = place.synth(6);
    let voices = manifest.with_file_name("audio");
    let table = std::fs::read_to_string(&manifest).unwrap();
    let columns = table.lines().next().unwrap().split(',').count();
    std::fs::write(&manifest, format!("{table}gone,gone.wav{}\n", ",".repeat(columns - 2)))
        .unwrap();
    run(&manifest, &place.text("root"), &[]);

    let files: Vec<_> =
        std::fs::read_dir(voices).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let npy = place.text("npy");
    json(&[&["extract", "--json", "--mel-npy", &npy], &files[..]].concat());

    let shards = objects(&place.path("root"));
    let shard = shards.iter().find(|key| key.ends_with(".parquet")).unwrap();
    let output = Command::new(python)
        .arg("tests/python/read_shard.py")
        .args([place.path("root").join(shard), place.path("npy"), "README.md".into()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).trim(), "7");
}
