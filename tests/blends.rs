//! Several models as one, and a search over settings, through the command.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, QUICK, call, json, run, stderr, stdout};
use serde_json::Value;

#[test]
fn a_network_is_exported_and_nothing_else() {
    let place = Place::new();
    let root = place.text("root");
    run(&place.synth(30), &root, &["--dataset", "d"]);
    json(&["train", "--root", &root, "--architecture", "gp", "--json"]);
    let out = place.text("out");
    let exported = ["models", "export", "age@1", "--root", &root, "--out", &out, "--json"];
    assert_eq!(json(&exported)["model"], "models/age/versions/00000001/");
    let about = std::fs::read_to_string(place.path("out/model.json")).unwrap();
    let about: Value = serde_json::from_str(&about).unwrap();
    assert_eq!((&about["frames"], &about["table"][14]), (&128.into(), &"gender".into()));
    assert!(std::fs::metadata(place.path("out/model.pt")).unwrap().len() > 10_000);
    let refused = call(&["models", "export", "age@2", "--root", &root, "--out", &out]);
    assert!(stderr(&refused).contains("only networks are exported"), "{}", stderr(&refused));
}

/// Predicted ages and interval ends by recording.
fn predicted(place: &Place, model: &str) -> Vec<[f64; 3]> {
    let (root, manifest) = (place.text("root"), place.text("voices/recordings.csv"));
    let args = ["predict", "--root", &root, "--model", model, "--manifest", &manifest, "--json"];
    let answer = json(&args);
    let one = |prediction: &Value| {
        let interval = |i: usize| prediction["interval"][i].as_f64().unwrap_or(f64::NAN);
        [prediction["age"].as_f64().unwrap(), interval(0), interval(1)]
    };
    answer["predictions"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn a_blend_says_the_weighted_mean_of_its_members() {
    let place = Place::new();
    let manifest = place.synth(60);
    let root = place.text("root");
    run(&manifest, &root, &["--dataset", "d", "--validation-share", "0.3"]);
    let train = |more: &[&str]| {
        let args = ["train", "--root", &root, "--validation-share", "0.3", "--json"];
        json(&[&args[..], more].concat())
    };
    train(&[QUICK, &["--seed", "2", "--validation-turn", "1"]].concat());
    train(&["--architecture", "trees"]);
    let blend = |more: &[&str]| call(&[&["models", "blend", "--root", &root], more].concat());
    let args = ["age@1", "age@2", "age@3", "--weights", "1,1,2", "--json"];
    let made = blend(&args);
    assert!(made.status.success(), "{}", stderr(&made));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["model"], "models/age/versions/00000004/");
    assert!(made["evaluation"]["test"]["rmse"].as_f64().unwrap() > 0.0);
    for told in ["report.html", "card.md"] {
        let told = place.path("root").join("models/age/versions/00000004").join(told);
        let told = std::fs::read_to_string(told).unwrap();
        assert!(told.contains("0.25 of age, version 1, 0.25 of age, version 2, 0.50 of age, v"));
    }

    let members = ["age@1", "age@2", "age@3"].map(|model| predicted(&place, model));
    for (i, [age, low, high]) in predicted(&place, "age@4").into_iter().enumerate() {
        let mean = |of: &dyn Fn([f64; 3]) -> f64| {
            [0.25, 0.25, 0.5].iter().zip(&members).map(|(w, said)| w * of(said[i])).sum::<f64>()
        };
        assert!((age - mean(&|said| said[0])).abs() < 1e-4, "{age}");
        let half = mean(&|said| said[2] - said[0]);
        assert!((high - age - half).abs() < 1e-4 && low < age, "{low} {age} {high} {half}");
    }
    // The same again is the same; evaluated again, it is as good as it was.
    let again = blend(&args);
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap()["model"], made["model"]);
    let measured = json(&["evaluate", "--root", &root, "--model", "age@4", "--json"]);
    assert_eq!(measured["evaluation"], made["evaluation"]);
    let verified = call(&["verify", "d", "--root", &root]);
    assert!(verified.status.success(), "{}", stderr(&verified));

    train(&[QUICK, &["--test-share", "0.3"]].concat());
    let runs = || json(&["runs", "list", "--root", &root, "--json"]);
    let before = runs();
    for (args, code, said) in [
        (&["age@1"][..], 2, "say which"),
        (&["age@1", "age@9"], 1, "there is no age@9"),
        (&["age@1", "age@4"], 1, "is a blend itself"),
        (&["age@1", "age@5"], 1, "holds other speakers out"),
        (&["age@1", "age@2", "--weights", "1"], 2, "must be 2 numbers above 0"),
        (&["age@1", "age@2", "--weights", "1,-1"], 2, "must be 2 numbers above 0"),
    ] {
        let refused = blend(args);
        assert_eq!(refused.status.code(), Some(code), "{args:?}");
        assert!(stderr(&refused).contains(said), "{args:?}: {}", stderr(&refused));
    }
    assert_eq!(runs(), before, "what is refused leaves no run");
}

#[test]
fn what_a_blend_is_worth_is_told_from_studies() {
    let place = Place::new();
    let manifest = place.synth(60);
    let root = place.text("root");
    run(&manifest, &root, &["--dataset", "d"]);
    let study = |more: &[&str]| {
        let args = ["evaluate", "--root", &root, "--json", "--cv", "3"];
        let findings = &json(&[&args[..], more].concat())["findings"];
        (findings["study"].as_str().unwrap().to_owned(), findings["scores"]["rmse"].clone())
    };
    let (ridge, ridge_rmse) = study(&["--architecture", "ridge"]);
    let (gp, _) = study(&["--architecture", "gp"]);
    let blend = |names: &[&str]| {
        json(&[&["studies", "blend"], names, &["--root", &root, "--json"]].concat())
    };
    // A study with itself is itself.
    let alone = blend(&[&ridge]);
    assert_eq!(alone["members"][0]["weight"], 1.0);
    assert_eq!(alone["members"][0]["blend_less"]["value"], 0.0);
    let both = blend(&[&ridge, &gp]);
    let of = |value: &Value| value["value"].as_f64().unwrap();
    assert!((of(&alone["rmse"]) - of(&ridge_rmse)).abs() < 1e-9);
    let weights: Vec<f64> =
        (0..2).map(|i| both["members"][i]["weight"].as_f64().unwrap()).collect();
    assert!((weights[0] + weights[1] - 1.0).abs() < 1e-9, "{weights:?}");
    let worst = both["members"].as_array().unwrap().iter().map(|member| of(&member["rmse"]));
    assert!(of(&both["equal"]) <= worst.fold(0.0, f64::max) + 1e-9);
    let other = study(&["--architecture", "ridge", "--hold-out", "gender"]).0;
    let refused = call(&["studies", "blend", &ridge, &other, "--root", &root]);
    assert!(stderr(&refused).contains("same recordings and folds"), "{}", stderr(&refused));
}

#[test]
fn a_search_halves_its_trials_and_goes_on_where_it_was() {
    let place = Place::new();
    let manifest = place.synth(40);
    let root = place.text("root");
    run(&manifest, &root, &["--dataset", "d"]);
    let tune = |space: &str, more: &[&str]| {
        let args = ["tune", "--root", &root, "--cv", "3", "--trials", "4", "--space", space];
        call(&[&args[..], &["--architecture", "ridge"], more].concat())
    };
    let space = place.write(
        "space.toml",
        "[train]\ntarget = [\"age\", \"log_age\"]\nvalidation_share = { low = 0.1, high = 0.4 }\n",
    );
    let found = tune(&space, &["--json"]);
    assert!(found.status.success(), "{}", stderr(&found));
    let first: Value = serde_json::from_slice(&found.stdout).unwrap();
    let trials = first["trials"].as_array().unwrap();
    // Four on one fold, two on two, one on all three.
    let folds: Vec<_> = trials.iter().map(|trial| trial["folds"].as_u64().unwrap()).collect();
    assert_eq!(folds, [3, 2, 1, 1]);
    let plain = trials.iter().find(|trial| trial["number"] == 0).unwrap();
    assert!(plain["drawn"].as_object().unwrap().is_empty());
    assert!(trials.iter().all(|trial| trial["rmse"].as_f64().unwrap() > 0.0));
    // What is done is not done again.
    let again = tune(&space, &["--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), first);
    assert!(!stderr(&again).contains("trainings"), "{}", stderr(&again));
    // The best is a study whose trainings are there.
    let best: Vec<String> = trials[0]["drawn"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            [format!("--{}", name.replace('_', "-")), value]
        })
        .collect();
    let args = ["evaluate", "--root", &root, "--cv", "3", "--architecture", "ridge", "--json"];
    let study = json(&args.into_iter().chain(best.iter().map(String::as_str)).collect::<Vec<_>>());
    let rmse = study["findings"]["scores"]["rmse"]["value"].as_f64().unwrap();
    assert!((rmse - trials[0]["rmse"].as_f64().unwrap()).abs() < 1e-3, "{rmse}");

    // No draw is tried twice, nor the settings as they are; what changes nothing is told.
    let space = place
        .write("few.toml", "[train]\ntarget = [\"sqrt_age\", \"age\"]\naugment.noise_db = [3.0]\n");
    let found = tune(&space, &["--json", "--augment-gain-db", "1"]);
    let few: Value = serde_json::from_slice(&found.stdout).unwrap();
    let mut drawn: Vec<_> =
        few["trials"].as_array().unwrap().iter().map(|trial| trial["drawn"].to_string()).collect();
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 3, "{drawn:?}");
    for said in [
        "note: 3 trials, not 4: there is nothing else to draw",
        "note: train.augment.gain_db: without effect on ridge as it is set",
        "note: train.augment.gain_db, train.augment.noise_db: without effect on ridge as it is set",
    ] {
        assert!(stderr(&found).contains(said), "{said}: {}", stderr(&found));
    }

    // A draw that cannot be trained is told, and stops nothing.
    let space = place.write(
        "gone.toml",
        "[train]\narchitecture = [\"efficientnet-b0\"]\npretrained = [\"gone\"]\n",
    );
    let found = tune(&space, &[]);
    assert!(found.status.success(), "{}", stderr(&found));
    assert!(stdout(&found).contains("  (failed: "), "{}", stdout(&found));
    for (text, said) in [
        ("[train]\nsize = [1]\n", "there is no setting train.size"),
        ("[train]\nepochs = { low = 5, high = 1 }\n", "low must be below high"),
        ("[train]\nlearning_rate = { low = 0.1, high = inf }\n", "low must be below high"),
        ("[train]\ndropout = [2.0]\n", "train.dropout must be"),
        ("[train]\ntarget = [\"height\"]\n", "train.target: unknown variant"),
        ("[train]\narchitecture = [\"blend\"]\n", "no training makes a blend"),
        ("[train]\nepochs = { low = 1, high = 3 }\n", "train.epochs: invalid type: floating point"),
        ("[train]\nepochs = { low = 1, high = 3 }\n", "whole = true draws whole numbers"),
        ("[train]\nepochs = 5\n", "train.epochs: give a list"),
        ("[train.augment]\nnoise = [1]\n", "there is no setting train.augment.noise"),
        ("[train]\ncoverage = [0.5]\n", "train.coverage changes nothing that a search looks at"),
        ("epochs = [1]\n", "epochs"),
    ] {
        let refused = tune(&place.write("bad.toml", text), &[]);
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(stderr(&refused).contains(said), "{text}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("bad.toml"), "{text}: {}", stderr(&refused));
    }
}
