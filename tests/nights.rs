//! Three nights over a real broker and a real S3 server, with deaths on the way: what is
//! better is promoted, what is worse is not, and each says why.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::cluster::{Cluster, Service};
use serde_json::Value;

/// How long a night may take.
const PATIENCE: Duration = Duration::from_secs(240);

fn trainer(cluster: &mut Cluster) -> Service {
    cluster.service_with(&["trainer"], |_| {})
}

/// The newest firing, once `ready` says so.
fn firing(cluster: &Cluster, ready: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let history = cluster.json(&["schedule", "history", "nightly"]);
        let newest = history["firings"].as_array().unwrap().last().unwrap().clone();
        assert!(newest["failures"].as_array().unwrap().is_empty(), "{newest}\n{}", cluster.logs());
        if ready(&newest) {
            return newest;
        }
        assert!(start.elapsed() < PATIENCE, "{newest}\n{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Waits until the service of predictions answers by a version of the model.
fn answers_by(cluster: &Cluster, server: &Service, audio: &[u8], version: &Value) {
    let start = Instant::now();
    loop {
        let log = server.log();
        let serving = log.lines().find(|line| line.contains("\"serving\""));
        let serving: Option<Value> = serving.map(|line| serde_json::from_str(line).unwrap());
        let model = serving.map(|line| {
            let address = line["fields"]["address"].as_str().unwrap().to_owned();
            let mut stream = TcpStream::connect(address).unwrap();
            let head =
                "POST /v1/predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length";
            stream.write_all(format!("{head}: {}\r\n\r\n", audio.len()).as_bytes()).unwrap();
            stream.write_all(audio).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let body: Value = serde_json::from_str(answer.rsplit("\r\n").next().unwrap()).unwrap();
            body["model"].as_str().unwrap_or_default().to_owned()
        });
        if model == Some(format!("models/age/versions/{:08}/", version.as_u64().unwrap())) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{version} {model:?}\n{}", cluster.logs());
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn ended(firing: &Value) -> bool {
    !firing["end"].is_null()
}

/// Some rows of a manifest as a manifest of its own, beside it.
fn write(cluster: &Cluster, name: &str, header: &str, rows: &[String]) {
    let text = format!("{header}\n{}\n", rows.join("\n"));
    std::fs::write(cluster.place.path(name), text).unwrap();
}

#[test]
fn three_nights_promote_what_is_better_and_nothing_else() {
    let mut cluster = Cluster::start();
    let manifest = cluster.place.synth(240);
    let table = std::fs::read_to_string(&manifest).unwrap();
    let header = table.lines().next().unwrap();
    let rows: Vec<String> = table.lines().skip(1).map(str::to_owned).collect();
    let (source, audio) = (cluster.place.text("manifests"), manifest.parent().unwrap());
    std::fs::create_dir(&source).unwrap();
    write(&cluster, "manifests/one.csv", header, &rows[..60]);

    let mut first = cluster.coordinator();
    let (_worker, mut trainers) = (cluster.worker(), vec![trainer(&mut cluster)]);
    let refused = cluster
        .command(&["schedule", "add", "nightly", "--cron", "at two", "--source", &source])
        .args(["--dataset", "calls"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(common::stderr(&refused).contains("five fields"), "{}", common::stderr(&refused));
    let add = ["schedule", "add", "nightly", "--cron", "0 2 * * *", "--tz", "Europe/Rome"];
    let what = ["--source", &source, "--dataset", "calls", "--test-share", "0.4"];
    let roots = ["--audio-root", audio.to_str().unwrap()];
    cluster.json(&[&add[..], &what, &roots, &["--gate-least-recordings", "1000"]].concat());

    // Night one: the first model is better than the mean age.
    cluster.json(&["schedule", "run-now", "nightly"]);
    let night = firing(&cluster, ended);
    assert_eq!(night["end"]["outcome"], "promoted", "{night}");
    assert_eq!(night["taken_in"]["done"]["manifests"][0]["recordings"], 60);
    let champion = |cluster: &Cluster| {
        let history = cluster.json(&["models", "history", "age"]);
        history["promotions"].as_array().unwrap().last().unwrap()["version"].clone()
    };
    assert_eq!(champion(&cluster), 1);
    let voice = std::fs::read(audio.join(rows[0].split(',').nth(1).unwrap())).unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--log-format", "json"];
    let server = cluster.service_with(&serve, |_| {});
    answers_by(&cluster, &server, &voice, &champion(&cluster));

    // Night two: four times the recordings; a coordinator and a trainer die on the way.
    write(&cluster, "manifests/two.csv", header, &rows[60..]);
    cluster.json(&["schedule", "run-now", "nightly"]);
    firing(&cluster, |firing| !firing["taken_in"].is_null());
    first.kill();
    let _second = cluster.coordinator();
    firing(&cluster, |firing| !firing["sealed"].is_null());
    trainers[0].kill();
    trainers.push(trainer(&mut cluster));
    let night = firing(&cluster, ended);
    let taken = &night["taken_in"]["done"];
    assert_eq!((&taken["known"], &taken["manifests"][0]["recordings"]), (&1.into(), &180.into()));
    assert_eq!(night["sealed"]["done"]["rows"], 240);
    let decided = &night["decided"]["done"];
    let promoted = decided["promote"] == true;
    assert_eq!(night["end"]["outcome"] == "promoted", promoted, "{night}");
    assert_eq!(decided["champion"], 1);
    answers_by(&cluster, &server, &voice, &champion(&cluster));
    let words = decided["checks"].as_array().unwrap().iter().map(|check| check["words"].as_str());
    assert!(words.flatten().any(|words| words.contains("of the champion over")), "{decided}");

    // Night three: the same voices, with the ages of others.
    let age = header.split(',').position(|name| name == "age").unwrap();
    let speaker = header.split(',').position(|name| name == "speaker").unwrap();
    let cells: Vec<Vec<&str>> = rows.iter().map(|row| row.split(',').collect()).collect();
    let of = |name: &str| cells.iter().find(|cells| cells[speaker] == name).unwrap()[age];
    let mut speakers: Vec<&str> = cells.iter().map(|cells| cells[speaker]).collect();
    speakers.dedup();
    let shuffled: Vec<String> = cells
        .iter()
        .map(|cells| {
            let place = speakers.iter().position(|name| *name == cells[speaker]).unwrap();
            let mut cells = cells.clone();
            cells[age] = of(speakers[(place * 7 + 3) % speakers.len()]);
            cells.join(",")
        })
        .collect();
    write(&cluster, "manifests/three.csv", header, &shuffled);
    let before = champion(&cluster);
    cluster.json(&["schedule", "run-now", "nightly"]);
    let night = firing(&cluster, ended);
    assert_eq!(night["end"]["outcome"], "refused", "{night}");
    assert_eq!(champion(&cluster), before);

    // Nothing new: the champion of the second night, or nobody, has learned from it all.
    let versions = cluster.json(&["models", "list"])["versions"].as_array().unwrap().len();
    assert_eq!(versions, 3);
    if promoted {
        cluster.json(&["models", "rollback", "age"]);
        assert_eq!(champion(&cluster), 1);
        answers_by(&cluster, &server, &voice, &1.into());
    }
    let refused = cluster.command(&["models", "rollback", "age"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(common::stderr(&refused).contains("no way back"));
    // By hand, the gate is asked too, and says what it needs.
    let refused = cluster.command(&["models", "promote", "age@3"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    if promoted {
        assert!(common::stderr(&refused).contains("voxage evaluate"));
        cluster.json(&["evaluate", "--model", "age@1", "--dataset", "calls"]);
    }
    let refused = cluster.command(&["models", "promote", "age@3", "--json"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(said["decision"]["promote"], false, "{said}");
    cluster.json(&["models", "promote", "age@3", "--force"]);
    assert_eq!(champion(&cluster), 3);
    answers_by(&cluster, &server, &voice, &3.into());
    let verified = cluster.json(&["verify", "calls"]);
    assert_eq!(verified["ok"], true, "{verified}");
}
