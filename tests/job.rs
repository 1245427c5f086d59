//! The whole job through the command, on synthetic voices.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, QUICK, call, command, json, objects, run, sealed_rows, stderr};
use serde_json::Value;
use std::fmt::Write as _;

#[test]
fn a_second_run_does_no_work_and_more_rows_do_only_those() {
    let place = Place::new();
    let manifest = place.synth(60);
    let all = std::fs::read_to_string(&manifest).unwrap();
    let lines: Vec<_> = all.lines().collect();
    let root = place.text("root");
    let first_ten = manifest.with_file_name("some.csv");
    std::fs::write(&first_ten, lines[..11].join("\n")).unwrap();

    let first = run(&first_ten, &root, &["--dataset", "d"]);
    assert_eq!(first["dataset"], "d");
    assert_eq!(first["recordings"]["submitted"], 10);
    assert_eq!(first["recordings"]["extracted"], 10);
    // Only that it was submitted again is written down.
    let work = || {
        let all = objects(&place.path("root")).into_iter();
        all.filter(|key| !key.starts_with("batches/")).collect::<Vec<_>>()
    };
    let before = work();

    let again = run(&first_ten, &root, &["--dataset", "d"]);
    assert_eq!(again["recordings"]["extracted"], 0);
    assert_eq!((&again["manifest"], &again["model"]), (&first["manifest"], &first["model"]));
    assert_eq!(work(), before);

    let more = run(&manifest, &root, &["--dataset", "d"]);
    assert_eq!(more["recordings"]["extracted"], 50);
    assert_eq!(more["recordings"]["rows"], 60);
    assert_ne!(more["manifest"], first["manifest"]);
    let rows = sealed_rows(&place.path("root"), more["manifest"].as_str().unwrap());
    assert_eq!(rows.len(), 60);
}

#[test]
fn a_process_learns_and_its_parts_agree() {
    a_model_learns_and_its_parts_agree(&[]);
}

#[test]
fn a_network_learns_and_its_parts_agree() {
    let network = ["--architecture", "seed-cnn-mlp", "--epochs", "12", "--channels", "8,16,16"];
    a_model_learns_and_its_parts_agree(&network);
}

fn a_model_learns_and_its_parts_agree(settings: &[&str]) {
    let place = Place::new();
    let manifest = place.synth(160);
    let root = place.text("root");
    let args = ["run", manifest.to_str().unwrap(), "--root", &root, "--json"];
    let answer = json(&[&args, settings].concat());
    let test = &answer["evaluation"]["test"];
    let number = |value: &Value| value.as_f64().unwrap();
    assert!(number(&test["rmse"]) < number(&test["baseline"]["rmse"]), "{test}");
    assert!(
        number(&test["mae"]) > 0.0 && number(&test["r2"]) < 1.0 && number(&test["pearson"]) > 0.0
    );
    assert!(number(&answer["elapsed_s"]) > 0.0);

    // Evaluating again gives what the training said, and its predictions give these scores.
    let out = place.text("predictions.csv");
    let evaluated = json(&["evaluate", "--root", &root, "--json", "--out", &out]);
    assert_eq!(evaluated["evaluation"], answer["evaluation"]);
    let table = std::fs::read_to_string(&out).unwrap();
    let errors: Vec<f64> = table
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<_> = line.split(',').collect();
            cells[1].parse::<f64>().unwrap() - cells[2].parse::<f64>().unwrap()
        })
        .collect();
    assert_eq!(errors.len() as u64, test["n"].as_u64().unwrap());
    let mae = errors.iter().map(|error| error.abs()).sum::<f64>() / errors.len() as f64;
    assert!((mae - number(&test["mae"])).abs() < 1e-3);

    // Predicting from the audio gives what the evaluation gave from the shard.
    let predicted = place.text("all.csv");
    json(&[
        "predict",
        "--root",
        &root,
        "--json",
        "--manifest",
        manifest.to_str().unwrap(),
        "--out",
        &predicted,
    ]);
    let all = std::fs::read_to_string(&predicted).unwrap();
    let all: std::collections::BTreeMap<_, _> =
        all.lines().skip(1).map(|line| line.split_once(',').unwrap()).collect();
    for line in table.lines().skip(1) {
        let cells: Vec<_> = line.split(',').collect();
        let (from_shard, from_audio) =
            (cells[2].parse::<f64>().unwrap(), all[cells[0]].parse::<f64>().unwrap());
        assert!((from_shard - from_audio).abs() < 1e-3, "{line}: {from_audio}");
    }
}

#[test]
fn the_same_seed_gives_the_same_model() {
    let place = Place::new();
    let manifest = place.synth(40);
    let weights = |root: &str, seed: &str| {
        let model = run(&manifest, &place.text(root), &["--seed", seed])["model"]
            .as_str()
            .unwrap()
            .to_owned();
        std::fs::read(place.path(root).join(model).join("weights.safetensors")).unwrap()
    };
    let first = weights("a", "1");
    assert!(first == weights("b", "1"), "one seed, two models");
    assert!(first != weights("c", "2"), "two seeds, one model");
}

#[test]
fn predictions_keep_the_order_and_ids_of_their_input() {
    let place = Place::new();
    let manifest = place.synth(150);
    let root = place.text("root");
    run(&manifest, &root, &[]);
    let table = std::fs::read_to_string(&manifest).unwrap();
    let mut lines: Vec<_> = table.lines().collect();
    lines[1..].reverse();
    let columns = lines[0].split(',').count();
    let missing = format!("gone,gone.wav{}", ",".repeat(columns - 2));
    lines.insert(70, &missing);
    // A label that cannot be is no reason not to predict.
    let mut labelled: Vec<_> = lines[1].split(',').collect();
    let age = lines[0].split(',').position(|name| name == "age").unwrap();
    labelled[age] = "NA";
    let labelled = labelled.join(",");
    lines[1] = &labelled;
    let evaluation = manifest.with_file_name("evaluation.csv");
    std::fs::write(&evaluation, lines.join("\n")).unwrap();
    let out = place.text("p.csv");
    let args = [
        "predict",
        "--root",
        &root,
        "--manifest",
        evaluation.to_str().unwrap(),
        "--out",
        &out,
        "--json",
    ];
    let answer = json(&args);
    let written = std::fs::read_to_string(&out).unwrap();
    assert_eq!(written.lines().next(), Some("Id,Predicted"));
    let ids = |text: &str| {
        text.lines().skip(1).map(|l| l.split(',').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&written), ids(&lines.join("\n")));
    assert!(answer["predictions"][0]["age"].as_f64().unwrap() > 0.0);
    let gone = &answer["predictions"][69];
    assert_eq!((&gone["id"], &gone["age"]), (&"gone".into(), &Value::Null));
    assert!(gone["warnings"][0].as_str().unwrap().starts_with("missing_audio"));
    assert!(written.contains("\ngone,\n"));
}

#[test]
fn what_a_single_recording_lacks_is_imputed_and_named() {
    let place = Place::new();
    let manifest = place.synth(40);
    let root = place.text("root");
    run(&manifest, &root, &[]);
    let table = std::fs::read_to_string(&manifest).unwrap();
    let cells: Vec<_> = table.lines().nth(1).unwrap().split(',').collect();
    let audio = manifest.with_file_name(cells[1]);
    let predict = |more: &[&str]| {
        let args =
            [&["predict", "--root", &root, audio.to_str().unwrap(), "--json"], more].concat();
        json(&args)["predictions"][0].clone()
    };
    let bare = predict(&[]);
    assert_eq!(bare["path"], audio.to_str().unwrap());
    assert!(bare["age"].as_f64().unwrap() > 0.0);
    assert!(bare["warnings"].as_array().unwrap().contains(&"imputed: gender".into()));
    let told = predict(&["--gender", "female"]);
    assert!(!told["warnings"].as_array().unwrap().contains(&"imputed: gender".into()));

    let nothing = call(&["predict", "--root", &root, "/nowhere.wav"]);
    assert_eq!(nothing.status.code(), Some(1));
}

#[test]
fn bad_recordings_end_as_rejects_with_their_reason() {
    let place = Place::new();
    let manifest = place.synth(8);
    let table = std::fs::read_to_string(&manifest).unwrap();
    let header = table.lines().next().unwrap();
    assert!(header.starts_with("id,path,age,gender,speaker"), "{header}");
    let mut bad = table.clone();
    for (id, path, age) in [
        ("x1", "gone.wav", "30"),
        ("x2", "empty.wav", "30"),
        ("x3", "text.wav", "30"),
        ("x4", "audio", "30"),
        ("x5", "gone.wav", "old"),
    ] {
        let rest = ",".repeat(header.split(',').count() - 3);
        writeln!(bad, "{id},{path},{age}{rest}").unwrap();
    }
    let folder = manifest.parent().unwrap();
    std::fs::write(folder.join("empty.wav"), b"").unwrap();
    std::fs::write(folder.join("text.wav"), b"<html>not found</html>").unwrap();
    let bad_manifest = folder.join("bad.csv");
    std::fs::write(&bad_manifest, bad).unwrap();
    let root = place.text("root");
    let answer = run(&bad_manifest, &root, &[]);
    assert_eq!(
        (&answer["recordings"]["rows"], &answer["recordings"]["rejects"]),
        (&8.into(), &5.into())
    );
    let rows = sealed_rows(&place.path("root"), answer["manifest"].as_str().unwrap());
    let code = |id: &str| rows[id].outcome.as_ref().unwrap_err().code.clone();
    let codes = ["x1", "x2", "x3", "x4", "x5"].map(code);
    assert_eq!(
        codes,
        ["missing_audio", "empty_audio", "unknown_format", "unreadable_audio", "bad_age"]
    );

    // What was missing and is there now is taken in by running again; the rest stays as it is.
    std::fs::copy(
        folder.join(table.lines().nth(1).unwrap().split(',').nth(1).unwrap()),
        folder.join("gone.wav"),
    )
    .unwrap();
    let mended = run(&bad_manifest, &root, &[]);
    assert_eq!(
        (&mended["recordings"]["submitted"], &mended["recordings"]["rejects"]),
        (&13.into(), &4.into())
    );
    assert_eq!(mended["recordings"]["extracted"], 2, "the two rows of gone.wav");
    sealed_rows(&place.path("root"), mended["manifest"].as_str().unwrap());
    let status = json(&["status", "--root", &root, "--json"]);
    let dataset = &status["datasets"][0];
    assert_eq!(
        (
            &dataset["submitted"],
            &dataset["rows"],
            &dataset["rejects"],
            &dataset["left"],
            &dataset["sealed"]
        ),
        (&13.into(), &9.into(), &4.into(), &0.into(), &true.into())
    );
}

#[test]
fn a_manifest_of_id_path_and_age_is_enough() {
    let place = Place::new();
    let manifest = place.synth(30);
    let table = std::fs::read_to_string(&manifest).unwrap();
    let bare: String =
        table.lines().map(|l| l.split(',').take(3).collect::<Vec<_>>().join(";") + "\n").collect();
    let bare_manifest = manifest.with_file_name("bare.csv");
    std::fs::write(&bare_manifest, format!("\u{FEFF}{}", bare.replacen("id", "ID", 1))).unwrap();
    let answer = run(
        &bare_manifest,
        &place.text("root"),
        &["--audio-root", manifest.parent().unwrap().to_str().unwrap()],
    );
    assert_eq!((&answer["dataset"], &answer["recordings"]["rows"]), (&"bare".into(), &30.into()));
}

#[test]
fn a_submitted_split_and_given_columns_are_obeyed() {
    let place = Place::new();
    let manifest = place.synth(24);
    let table = std::fs::read_to_string(&manifest).unwrap();
    let mut text = "id,path,age,split,Jitter,tempo,Town\n".to_owned();
    for (i, line) in table.lines().skip(1).enumerate() {
        let cells: Vec<_> = line.split(',').collect();
        let split = ["train", "train", "dev", "test"][i % 4];
        writeln!(
            text,
            "{},{},{},{split},0.25,[120.5],\"Torino, IT\"",
            cells[0], cells[1], cells[2]
        )
        .unwrap();
    }
    let given = manifest.with_file_name("given.csv");
    std::fs::write(&given, text).unwrap();
    let answer = run(&given, &place.text("root"), &[]);
    assert_eq!(answer["evaluation"]["test"]["n"], 6);
    for (_, row) in sealed_rows(&place.path("root"), answer["manifest"].as_str().unwrap()) {
        let features = row.outcome.unwrap();
        // jitter and tempo, in the order of the columns.
        assert_eq!((features.tabular[3], features.tabular[8]), (Some(0.25), Some(120.5)));
        assert!(features.tabular[5].is_some(), "energy is computed");
        assert_eq!(row.recording.given.len(), 2);
        assert_eq!(row.recording.metadata["Town"], "Torino, IT");
    }
}

#[test]
fn a_model_is_not_measured_on_speakers_that_it_has_learned_from() {
    let place = Place::new();
    let (manifest, root) = (place.synth(60), place.text("root"));
    let some = run(&manifest, &root, &["--test-share", "0.3"]);
    let all = run(&manifest, &root, &["--test-share", "0"]);
    let split = |line: &str| match line.as_bytes().get(4) {
        _ if line.starts_with("id,") => "split",
        Some(digit) if digit % 2 == 0 => "test",
        _ => "train",
    };
    let table = std::fs::read_to_string(&manifest).unwrap();
    let told: Vec<_> = table.lines().map(|line| format!("{line},{}", split(line))).collect();
    std::fs::write(&manifest, told.join("\n")).unwrap();
    run(&manifest, &root, &[]);
    run(&manifest, &root, &["--dataset", "elsewhere"]);
    let left = |model: &Value, dataset: &str| {
        let model = ["--dataset", dataset, "--model", model["model"].as_str().unwrap()];
        let output = call(&[&["evaluate", "--root", &root, "--json"], &model[..]].concat());
        let (said, answer) = (stderr(&output), serde_json::from_slice::<Value>(&output.stdout));
        let n = answer.unwrap()["evaluation"]["test"]["n"].as_u64().unwrap();
        assert!(said.contains(&format!("note: {} recordings are for the test, but", 30 - n)));
        n
    };
    // Nor where the same speakers are in another data set.
    for dataset in ["recordings", "elsewhere"] {
        assert!((1..30).contains(&left(&some, dataset)));
        assert_eq!(left(&all, dataset), 0);
    }
}

#[test]
fn one_file_name_with_other_audio_is_not_the_same_data_set() {
    let (here, there) = (Place::new(), Place::new());
    let root = here.text("root");
    run(&here.synth(10), &root, &[]);
    let other = there.synth(10);
    let refused = call(&[&["run", other.to_str().unwrap(), "--root", &root], QUICK].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("--dataset"), "{}", stderr(&refused));
    run(&other, &root, &["--dataset", "other"]);
    let status = json(&["status", "--root", &root, "--json"]);
    assert_eq!(status["datasets"].as_array().unwrap().len(), 2);
}

#[test]
fn every_feature_can_be_asked_for() {
    let place = Place::new();
    let (manifest, root) = (place.synth(30), place.text("root"));
    let run = |features: &[&str], weights: &str| {
        let args = ["run", manifest.to_str().unwrap(), "--root", &root, "--json"];
        let args = [&args, QUICK, features].concat();
        command(&args).env("VOXAGE_WEIGHTS", weights).output().unwrap()
    };
    let sets = ["--mono", "auto", "--tabular", "compat,clean"];
    let output = run(&sets, "");
    assert!(output.status.success(), "{}", stderr(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    for row in sealed_rows(&place.path("root"), answer["manifest"].as_str().unwrap()).values() {
        let features = row.outcome.as_ref().unwrap();
        assert_eq!(features.audio.mix, "mono");
        assert_eq!(features.tabular.len(), 37);
        assert_eq!(features.embedding, None);
    }
    // Without its weights an embedding is refused before any work.
    let embedding = ["--embedding", "resemblyzer", "--dataset", "e"];
    let refused = run(&embedding, "/nowhere");
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("deploy/weights"), "{}", stderr(&refused));
    assert!(!place.path("root/datasets/e").exists());
    let Some(weights) = std::env::var_os("VOXAGE_WEIGHTS") else {
        eprintln!("SKIPPED: VOXAGE_WEIGHTS does not name the speaker encoder's weights");
        return;
    };
    let output = run(&embedding, weights.to_str().unwrap());
    assert!(output.status.success(), "{}", stderr(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    for row in sealed_rows(&place.path("root"), answer["manifest"].as_str().unwrap()).values() {
        let embedding = row.outcome.as_ref().unwrap().embedding.as_ref().unwrap();
        let norm: f32 = embedding.iter().map(|x| x * x).sum();
        assert!(embedding.len() == 256 && (norm - 1.0).abs() < 1e-4, "{norm}");
    }
}

#[test]
fn another_spec_is_another_set_of_shards() {
    let place = Place::new();
    let manifest = place.synth(12);
    let root = place.text("root");
    run(&manifest, &root, &[]);
    let other = run(&manifest, &root, &["--mel-storage", "f16", "--model", "half"]);
    assert_eq!(other["recordings"]["extracted"], 12);
    assert_eq!(run(&manifest, &root, &[])["recordings"]["extracted"], 0);
    // A model of one spec refuses the features of another.
    let refused =
        call(&["evaluate", "--root", &root, "--model", "age@1", "--dataset", "recordings"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("of spec"), "{}", stderr(&refused));
}
