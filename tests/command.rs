//! The command as programs and people meet it: shapes, exit codes, messages.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, call, command, json, stderr, stdout};
use serde_json::Value;

fn codes(document: &Value) -> Vec<(Value, Value, String)> {
    let problems = document["problems"].as_array().unwrap();
    let one =
        |p: &Value| (p["row"].clone(), p["column"].clone(), p["code"].as_str().unwrap().to_owned());
    problems.iter().map(one).collect()
}

#[test]
fn every_verb_explains_itself() {
    let verbs = [
        "validate",
        "run",
        "submit",
        "coordinator",
        "feature-worker",
        "status",
        "cancel",
        "dead",
        "rejects",
        "verify",
        "extract",
        "train",
        "evaluate",
        "predict",
        "config",
        "synth",
    ];
    let help = stdout(&call(&["--help"]));
    for verb in verbs {
        assert!(help.contains(verb));
        let own = call(&[verb, "--help"]);
        assert_eq!(own.status.code(), Some(0));
        assert!(stdout(&own).contains("--json"), "{verb}");
    }
}

#[test]
fn wrong_usage_is_two_and_failure_is_one() {
    for args in [
        &["--nonsense"][..],
        &["run"],
        &["predict"],
        &["run", "m.csv", "--epochs", "many"],
        &["config", "--config", "nowhere.toml"],
        &["schedule", "pause"],
        &["gc", "--grace-days", "nan"],
        &["serve", "--timeout-s=1e300"],
        &["synth", "voices", "--seconds=-1"],
        &["schedule", "add", "nightly", "--dataset", "d"],
        &["predict", "--dataset", "d"],
    ] {
        assert_eq!(call(args).status.code(), Some(2), "{args:?}");
        let told = call(&[args, &["--json"]].concat());
        assert_eq!(told.status.code(), Some(2), "{args:?}");
        let document: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert!(document["error"]["message"].is_string(), "{document}");
    }
    let place = Place::new();
    let missing = place.text("nowhere");
    for args in [
        &["run", "nowhere.csv"][..],
        &["status", "--root", &missing],
        &["train", "--root", &missing],
        &["validate", "nowhere.csv"],
    ] {
        assert_eq!(call(args).status.code(), Some(1), "{args:?}");
    }
    assert!(!place.path("nowhere").exists(), "looking must not create");
}

#[test]
fn validate_names_every_problem_with_row_and_column() {
    let place = Place::new();
    let voice = place.synth(1).with_file_name("audio");
    let audio = std::fs::read_dir(voice).unwrap().next().unwrap().unwrap().path();
    std::fs::copy(audio, place.path("ok.wav")).unwrap();
    std::fs::write(place.path("empty.wav"), b"").unwrap();
    std::fs::write(place.path("text.wav"), b"hello").unwrap();
    let manifest = place.write(
        "m.csv",
        "Id;PATH;Age;gender;speaker;split\n\
         1;ok.wav;30;female;s1;train\n\
         1;ok.wav;30;male;s2;\n\
         3;gone.wav;30;;;\n\
         4;ok.wav;abc;;;\n\
         5;ok.wav;300;;;\n\
         6;empty.wav;30;;;\n\
         7;text.wav;30;;;\n\
         8;ok.wav;30;alien;;\n\
         9;ok.wav;30;;s1;test\n\
         10;../../etc/passwd;30;;;\n",
    );
    let output = call(&["validate", &manifest, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["ok"], &document["rows"]), (&false.into(), &10.into()));
    let at = |row: u64, column: &str, code: &str| (row.into(), column.into(), code.to_owned());
    let expected = [
        at(2, "Id", "duplicate_id"),
        at(3, "PATH", "missing_audio"),
        at(4, "Age", "bad_age"),
        at(5, "Age", "age_range"),
        at(6, "PATH", "empty_audio"),
        at(7, "PATH", "unknown_format"),
        at(8, "gender", "unknown_gender"),
        at(9, "split", "speaker_split"),
        at(10, "PATH", "path_leaves_root"),
    ];
    assert_eq!(codes(&document), expected);
    for problem in document["problems"].as_array().unwrap() {
        assert!(!problem["message"].as_str().unwrap().is_empty());
    }
    let text = stdout(&call(&["validate", &manifest]));
    assert!(
        text.contains("m.csv: row 4, column Age: 'abc' is not an age in years [bad_age]"),
        "{text}"
    );
    assert!(text.contains("1 × bad_age"), "{text}");
}

#[test]
fn a_table_that_is_none_is_one_problem() {
    let place = Place::new();
    for (text, code, column) in [
        ("name,path\na,b\n", "missing_column", "id".into()),
        ("", "unreadable_table", Value::Null),
        ("id,path\n", "no_rows", Value::Null),
    ] {
        let manifest = place.write("m.csv", text);
        let output = call(&["validate", &manifest, "--json"]);
        assert_eq!(output.status.code(), Some(1));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(codes(&document), [(Value::Null, column, code.to_owned())]);
    }
}

#[test]
fn run_refuses_a_structural_problem_and_leaves_nothing() {
    let place = Place::new();
    let manifest = place.write("m.csv", "id,path,age\n1,a.wav,30\n1,b.wav,31\n2,c.wav\n");
    let output = call(&["run", &manifest, "--root", &place.text("root")]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("row 2, column id") && said.contains("row 3: the row has 2 cells"),
        "{said}"
    );
    assert!(!place.path("root").exists());
}

#[test]
fn a_list_says_what_it_leaves_out() {
    let place = Place::new();
    place.write("root/schedules/nightly/settings/00000001.json", "{");
    place.write("root/runs/0123456789abcdef/request.json", "{");
    for what in ["schedule", "runs"] {
        let output = call(&[what, "list", "--root", &place.text("root"), "--json"]);
        let said = stderr(&output);
        assert!(output.status.success() && said.contains("left out"), "{what}: {said}");
    }
}

#[test]
fn extract_answers_for_every_file() {
    let place = Place::new();
    let voices = place.synth(2).with_file_name("audio");
    let mut files: Vec<_> =
        std::fs::read_dir(voices).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (npy, missing) = (place.text("npy"), place.text("gone.wav"));
    let (one, two) = (files[0].to_str().unwrap(), files[1].to_str().unwrap());
    let document = json(&["extract", one, &missing, two, "--json", "--mel-npy", &npy]);
    let recordings = document["recordings"].as_array().unwrap();
    let paths: Vec<_> = recordings.iter().map(|r| r["path"].as_str().unwrap()).collect();
    assert_eq!(paths, [one, &missing, two]);
    assert_eq!(
        (&recordings[1]["status"], &recordings[1]["code"]),
        (&"rejected".into(), &"missing_audio".into())
    );
    let good = &recordings[0];
    assert_eq!((&good["status"], &good["sample_rate_hz"]), (&"ok".into(), &16000.into()));
    let tabular = good["tabular"].as_object().unwrap();
    assert_eq!(tabular.len(), 14);
    assert!(tabular["energy"].as_f64().unwrap() > 0.0 && tabular["num_words"].is_null());

    let bytes =
        std::fs::read(place.path("npy").join(files[0].file_stem().unwrap()).with_extension("npy"))
            .unwrap();
    let header = String::from_utf8_lossy(&bytes[10..128]);
    let frames = good["n_frames"].as_u64().unwrap();
    assert!(header.contains("'<f4'") && header.contains(&format!("({frames}, 128)")), "{header}");
    assert_eq!(bytes.len() as u64, 128 + frames * 128 * 4);
}

#[test]
fn config_says_where_each_setting_came_from() {
    let place = Place::new();
    let file = place.write("v.toml", "slots = 3\n[train]\nepochs = 5\n");
    let output = command(&["config", "--config", &file, "--epochs", "9", "--json"])
        .env("VOXAGE_MODEL", "voice")
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let find = |key: &str| {
        let settings = document["settings"].as_array().unwrap();
        let setting = settings.iter().find(|setting| setting["key"] == key).unwrap();
        (setting["value"].clone(), setting["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(find("slots"), (3.into(), file));
    assert_eq!(find("train.epochs"), (9.into(), "--epochs".into()));
    assert_eq!(find("model"), ("voice".into(), "VOXAGE_MODEL".into()));
    assert_eq!(find("train.seed"), (1.into(), "default".into()));
}

#[test]
fn an_error_is_json_too_where_json_was_asked_for() {
    let place = Place::new();
    let output = call(&["status", "--root", &place.text("nowhere"), "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["error"]["message"].as_str().unwrap().contains("nowhere"));
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let place = Place::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&["config", "--json"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let out = place.text("nowhere/p.csv");
    let output = call(&["predict", "a.wav", "--out", &out]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there is no folder"), "{}", stderr(&output));
}

#[test]
fn who_closes_standard_error_does_not_stop_the_work() {
    let place = Place::new();
    let (manifest, root) = (place.synth(12), place.text("root"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let args = ["run", manifest.to_str().unwrap(), "--root", &root, "--architecture", "ridge"];
    assert!(command(&args).stderr(writer).status().unwrap().success());
}
