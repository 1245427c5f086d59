//! Cross-validations through the command: carried out, taken up again, compared.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::cluster::Cluster;
use common::{Place, call, json, objects, run, stderr, stdout};
use serde_json::Value;
use voxage_transport::StoreExt as _;

/// Voices with a column `source`, and one of them under another name too.
fn voices(place: &Place, recordings: usize) -> std::path::PathBuf {
    let manifest = place.synth(recordings);
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[0] += ",source";
    for (i, line) in lines.iter_mut().enumerate().skip(1) {
        *line += ["", ",phone", ",studio", ",studio"][i % 3 + 1];
    }
    let copied: Vec<_> = lines[1].split(',').collect();
    let copy = ["copy", copied[1], copied[2], copied[3], "somebody", "phone"].join(",");
    lines.push(copy);
    std::fs::write(&manifest, lines.join("\n")).unwrap();
    manifest
}

#[test]
fn a_study_measures_everyone_goes_on_where_it_was_and_compares() {
    let place = Place::new();
    let manifest = voices(&place, 60);
    let root = place.text("root");
    run(&manifest, &root, &["--dataset", "d"]);
    let out = place.text("predictions.csv");
    let evaluate = |more: &[&str]| {
        let args = ["evaluate", "--root", &root, "--dataset", "d", "--json", "--cv", "3"];
        json(&[&args[..], more].concat())
    };
    let first = evaluate(&["--by", "source", "--seeds", "2", "--out", &out]);
    let findings = &first["findings"];
    assert_eq!((&findings["recordings"], &findings["speakers"]), (&61.into(), &31.into()));
    let folds: u64 =
        findings["folds"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(folds, 61);

    // Each recording once under each seed, by a training of its fold; the scores are theirs.
    let table = std::fs::read_to_string(&out).unwrap();
    let (mut errors, mut seen) = (BTreeMap::<String, Vec<f64>>::new(), BTreeSet::new());
    for line in table.lines().skip(1) {
        let cells: Vec<_> = line.split(',').collect();
        assert!(seen.insert((cells[0].to_owned(), cells[1].to_owned())), "{line}");
        let number = |i: usize| cells[i].parse::<f64>().unwrap();
        errors.entry(cells[1].to_owned()).or_default().push(number(4) - number(3));
    }
    assert_eq!(seen.len(), 122);
    let rmse = |errors: &Vec<f64>| {
        (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt()
    };
    let mean = errors.values().map(rmse).sum::<f64>() / 2.0;
    let scored = &findings["scores"]["rmse"];
    assert!((scored["value"].as_f64().unwrap() - mean).abs() < 1e-3, "{scored} {mean}");
    assert!(scored["low"].as_f64() < scored["value"].as_f64());
    let names: Vec<_> = findings["baselines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["mean age", "mean age of the gender", "mean age of the source", "ridge"]);
    let by: Vec<_> =
        findings["cells"].as_array().unwrap().iter().map(|c| c["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["age", "gender", "age, gender", "duration", "source"]);
    assert_eq!(findings["crossed"]["by"], "age, gender, duration, source");
    // The copy is in another fold than its original.
    let leak = &findings["leaks"]["pairs"][0];
    assert_eq!(leak["ids"], serde_json::json!(["v0000-0", "copy"]), "{leak}");

    // The same again: nothing is done. One that was cut off: only what is missing.
    let before = objects(&place.path("root"));
    assert_eq!(evaluate(&["--by", "source", "--seeds", "2"]), first);
    assert_eq!(objects(&place.path("root")), before);
    let study = findings["study"].as_str().unwrap();
    std::fs::remove_file(place.path("root").join(format!("studies/{study}/result.json"))).unwrap();
    let of_fold = |key: &&String| {
        let is_result = key.starts_with("runs/") && key.ends_with("result.json");
        let request = place.path("root").join(key.replace("result.json", "request.json"));
        is_result && std::fs::read_to_string(request).unwrap().contains("\"fold\"")
    };
    let results: Vec<_> = before.iter().filter(of_fold).collect();
    assert_eq!(results.len(), 9, "3 folds of 2 seeds and the ridge");
    std::fs::remove_file(place.path("root").join(results[4])).unwrap();
    let unfinished = call(&["studies", "show", &study[..8], "--root", &root]);
    assert!(stdout(&unfinished).contains("trainings are missing"), "{}", stdout(&unfinished));
    let again = evaluate(&["--by", "source", "--seeds", "2"]);
    assert_eq!(again, first);

    // Against another, and against itself.
    let ridge = evaluate(&["--architecture", "ridge", "--against", study]);
    let other = ridge["findings"]["study"].as_str().unwrap();
    let difference = |compared: &Value| compared["rmse"][2]["value"].as_f64().unwrap();
    let compared = json(&["studies", "compare", study, other, "--root", &root, "--json"]);
    assert!((difference(&compared) + difference(&ridge["against"])).abs() < 1e-9);
    assert_eq!(compared["same_folds"], true);
    let itself = json(&["studies", "compare", study, study, "--root", &root, "--json"]);
    assert_eq!((difference(&itself), &itself["rmse"][2]["low"]), (0.0, &0.0.into()));
    let listed = json(&["studies", "list", "--root", &root, "--json"]);
    assert_eq!(listed["studies"].as_array().unwrap().len(), 2);
}

#[test]
fn values_of_a_column_are_held_out() {
    let place = Place::new();
    let manifest = voices(&place, 40);
    let root = place.text("root");
    run(&manifest, &root, &["--dataset", "d"]);
    let evaluate = |more: &[&str]| {
        let args = ["evaluate", "--root", &root, "--dataset", "d", "--architecture", "ridge"];
        call(&[&args[..], more].concat())
    };
    let held_out = evaluate(&["--cv", "5", "--hold-out", "source", "--json"]);
    assert!(held_out.status.success(), "{}", stderr(&held_out));
    let answer: Value = serde_json::from_slice(&held_out.stdout).unwrap();
    assert_eq!(answer["findings"]["folds"].as_array().unwrap().len(), 2);
    assert_eq!(answer["findings"]["recordings"], 41);

    for (args, said) in [
        (&["--cv", "5", "--hold-out", "sauce"][..], "there are: source, gender"),
        (
            &["--cv", "5", "--by", "sauce"],
            "no recording with an age has anything in column 'sauce'",
        ),
        (&["--cv", "5", "--against", "feed"], "there is no study 'feed'"),
    ] {
        let refused = evaluate(args);
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
        assert!(stderr(&refused).contains(said), "{args:?}: {}", stderr(&refused));
    }
    for wrong in [&["--by", "source"][..], &["--cv", "1"], &["--cv", "5", "--seeds", "1001"]] {
        assert_eq!(evaluate(wrong).status.code(), Some(2), "{wrong:?}");
    }
    let refused = evaluate(&[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("train.architecture is about trainings"));
}

#[test]
fn a_report_is_one_sound_page() {
    let place = Place::new();
    let manifest = voices(&place, 60);
    let root = place.text("root");
    let trained = run(&manifest, &root, &["--dataset", "d"]);
    let model = place.path("root").join(trained["model"].as_str().unwrap());
    let card = std::fs::read_to_string(model.join("card.md")).unwrap();
    // Beside it stands what a ridge of the same recordings comes to.
    let ridge =
        json(&["train", "--root", &root, "--architecture", "ridge", "--model", "r", "--json"]);
    let rmse = ridge["evaluation"]["test"]["rmse"].as_f64().unwrap();
    assert_eq!(trained["evaluation"]["ridge"]["scores"]["rmse"], rmse);
    assert!(ridge["evaluation"]["ridge"].is_null());
    let shown = stdout(&call(&["models", "show", "age@1", "--root", &root]));
    assert!(shown.contains("\nridge  "), "{shown}");
    // The mean age is that of the same recordings everywhere.
    let mean = trained["evaluation"]["test"]["baseline"]["rmse"].as_f64().unwrap();
    assert!(card.contains(&format!("| mean age | {mean:.2} |")), "{card}");
    let beside = format!("| ridge | {rmse:.2} |");
    let few = "fewer than 20 speakers";
    for part in ["prohibited use", "Licence: not stated", "60 and over", "mean age", &beside, few] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    assert!(std::fs::read_to_string(model.join("report.html")).unwrap().contains(few));
    let own = place.path("root").join(ridge["model"].as_str().unwrap()).join("card.md");
    assert!(!std::fs::read_to_string(own).unwrap().contains("| ridge |"));
    let args = ["evaluate", "--root", &root, "--json", "--cv", "2", "--architecture", "ridge"];
    let study = json(&args)["findings"]["study"].as_str().unwrap().to_owned();
    let (page, card) = (place.text("report.html"), place.text("card.md"));
    json(&["report", &study[..6], "--root", &root, "--out", &page, "--card", &card, "--json"]);
    // In a study all are tested.
    for told in [std::fs::read_to_string(&page), std::fs::read_to_string(&card)] {
        assert!(!told.unwrap().contains(few));
    }
    let shown = stdout(&call(&["studies", "show", &study[..6], "--root", &root]));
    assert!(shown.contains("of 31 speakers") && !shown.contains(few), "{shown}");
    let refused = call(&["report", "nobody", "--root", &root, "--out", &page]);
    assert!(stderr(&refused).contains("no model and no study 'nobody'"), "{}", stderr(&refused));

    // The same voices, forty years older than those that the champion knows.
    json(&["models", "promote", "age@1", "--force", "--root", &root, "--json"]);
    let table = std::fs::read_to_string(&manifest).unwrap();
    let column = table.lines().next().unwrap().split(',').position(|name| name == "age").unwrap();
    let older = table.lines().enumerate().map(|(i, line)| {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        if i > 0 {
            cells[column] = (cells[column].parse::<f64>().unwrap() + 40.0).to_string();
        }
        cells.join(",") + "\n"
    });
    std::fs::write(&manifest, older.collect::<String>()).unwrap();
    let second = run(&manifest, &root, &["--dataset", "d"]);
    let second = place.path("root").join(second["model"].as_str().unwrap());
    let drifted = std::fs::read_to_string(second.join("report.html")).unwrap();
    assert!(drifted.contains("1 warnings: age: PSI"), "{drifted}");
    let card = std::fs::read_to_string(second.join("card.md")).unwrap();
    assert!(card.contains("drifted from the champion's: age: PSI"), "{card}");

    let Some(python) = std::env::var_os("VOXAGE_PYTHON") else {
        eprintln!("SKIPPED: VOXAGE_PYTHON names no Python; `make test` sets it");
        return;
    };
    let check = "tests/python/check_page.py";
    let headings = |page: &std::path::Path, tested: u64| {
        let output = std::process::Command::new(&python).arg(check).arg(page).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["images"], tested.min(12));
        let all =
            said["headings"].as_array().unwrap().iter().map(|h| h.as_str().unwrap().to_owned());
        all.collect::<Vec<_>>()
    };
    let of_model =
        headings(&model.join("report.html"), trained["evaluation"]["test"]["n"].as_u64().unwrap());
    let sections = [
        "Model age, version 1",
        "What must be beaten",
        "Predictions",
        "Learning curves",
        "Errors by part",
        "The worst recordings",
        "Some of the best, for contrast",
        "What may have leaked",
        "The data",
        "Use and limits",
        "Settings",
    ];
    let without = |name: &str| of_model.iter().filter(|h| *h != name).cloned().collect::<Vec<_>>();
    assert_eq!(without("Prediction intervals"), sections);
    let images = json(&["models", "show", "age@2", "--root", &root, "--json"]);
    let images = images["card"]["evaluation"]["test"]["n"].as_u64().unwrap();
    assert!(headings(&second.join("report.html"), images).contains(&"Drift".into()));
    let of_study = headings(page.as_ref(), 61);
    assert_eq!(of_study[0], format!("Study {study}"));
    assert!(!of_study.contains(&"Learning curves".into()), "a ridge has none");
}

#[test]
fn trainers_carry_out_a_study_that_is_asked_for() {
    let mut cluster = Cluster::start();
    let manifest = cluster.place.synth(24);
    let ridge = ["--architecture", "ridge", "--dataset", "d"];
    cluster.json(&[&["run", manifest.to_str().unwrap()], &ridge[..]].concat());
    let _trainer = cluster.service_with(&["trainer"], |_| {});
    let study = [&["evaluate", "--cv", "2", "--seeds", "2"], &ridge[..]].concat();
    let asked = cluster.json(&study);
    assert_eq!(asked["findings"]["recordings"], 24);
    let asks = cluster.runtime.block_on(async {
        let store = cluster.s3.store("root").await.unwrap();
        store.keys("trainings/").await.unwrap()
    });
    assert_eq!(asks.len(), 4, "{asks:?}\n{}", cluster.logs());
    // What they did is what this process needs, too.
    assert_eq!(cluster.json(&[&study[..], &["--queue", ""]].concat()), asked);
}
