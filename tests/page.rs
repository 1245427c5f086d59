//! The coordinator's page and API, and every service's health and metrics, over real servers.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::cluster::{Cluster, Service};
use common::stderr;
use serde_json::{Value, json};
use voxage_transport::{Amqp, Queue as _};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server, as curl sees it.
struct Api {
    url: String,
    token: String,
}

impl Api {
    /// That of a coordinator, as its log says.
    fn of(coordinator: &Service) -> Self {
        let line = said(coordinator, "page and API: ");
        let (url, token) = line.trim().split_once("/#token=").unwrap();
        Self { url: url.to_owned(), token: token.to_owned() }
    }

    /// The status and body of an answer.
    fn curl(&self, path: &str, args: &[&str]) -> (u16, String) {
        let url = format!("{}{path}", self.url);
        let mut command = Command::new("curl");
        let output = command.args(["-s", "-w", "\n%{http_code}", &url]).args(args).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.curl(path, &[]);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The status and document of a change by someone who knows the token.
    fn post(&self, path: &str, kind: &str, body: &str) -> (u16, Value) {
        let (token, kind) =
            (format!("Authorization: Bearer {}", self.token), format!("Content-Type: {kind}"));
        let args = ["-X", "POST", "-H", &token, "-H", &kind, "--data-binary", body];
        let (status, body) = self.curl(path, &args);
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    /// A change that must succeed.
    fn change(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, "application/json", &body.to_string());
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

/// What follows some words in a service's log, once it does.
fn said(service: &Service, words: &str) -> String {
    eventually(|| {
        let log = service.log();
        let line = log.lines().find_map(|line| Some(line.split_once(words)?.1.to_owned()));
        line.ok_or(log)
    })
}

/// What there is in the end.
fn eventually<T, E: std::fmt::Debug>(mut look: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(not) => assert!(start.elapsed() < PATIENCE, "{not:?}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn coordinator(cluster: &mut Cluster) -> Service {
    let roots = cluster.place.text("");
    let args = ["coordinator", "--listen", "127.0.0.1:0", "--audio-roots", &roots];
    cluster.service_with(&args, |_| {})
}

/// The data set of an overview, once it is sealed.
fn sealed(api: &Api, dataset: &str) -> Value {
    eventually(|| {
        let overview = api.get("/api/v1/overview");
        let found =
            overview["datasets"].as_array().unwrap().iter().find(|one| one["name"] == dataset);
        found.filter(|found| found["sealed"] == true).cloned().ok_or(overview)
    })
}

/// Has a task put aside that no worker can read.
fn put_aside(cluster: &Cluster, api: &Api) {
    cluster.runtime.block_on(async {
        let amqp = Amqp::open(cluster.broker.url(), "voxage").await.unwrap();
        let queue = amqp.queue("tasks").await.unwrap();
        queue.publish(b"no task".to_vec().into()).await.unwrap();
        amqp.close().await;
    });
    one_letter(api);
}

fn one_letter(api: &Api) {
    eventually(|| {
        let found = api.get("/api/v1/dead");
        if found["dead"].as_array().unwrap().len() == 1 { Ok(()) } else { Err(found) }
    });
}

#[test]
fn the_api_tells_what_there_is_and_changes_what_it_may() {
    let mut cluster = Cluster::start();
    let manifest = cluster.place.synth(24);
    let folder = manifest.parent().unwrap().to_str().unwrap().to_owned();
    let service = coordinator(&mut cluster);
    let _worker = cluster.worker();
    let api = Api::of(&service);

    // Who may what.
    let (status, page) = api.curl("/", &["-i"]);
    assert!(
        status == 200 && page.contains("script-src 'self'") && page.contains("nosniff"),
        "{page}"
    );
    assert_eq!(api.curl("/readyz", &[]), (200, "ready\n".into()));
    assert_eq!(api.curl("/api/v1/overview", &["-H", "Host: evil.example:80"]).0, 403);
    assert_eq!(api.curl("/api/v1/nothing", &[]).0, 404);
    assert_eq!(api.curl("/api/v1/dead", &["-X", "DELETE"]).0, 405);
    let requeue = ["-X", "POST", "-d", "{\"all\":true}"];
    assert_eq!(api.curl("/api/v1/dead/requeue", &requeue).0, 401);
    let wrong = [&requeue[..], &["-H", "Authorization: Bearer 0123456789abcdef"]].concat();
    let (status, said) = api.curl("/api/v1/dead/requeue", &wrong);
    assert!(status == 401 && said.contains("api_token"), "{said}");

    // A batch with a recording that is not there.
    let batches =
        |dataset: &str, root: &str| format!("/api/v1/datasets/{dataset}/batches?audio_root={root}");
    let table = std::fs::read_to_string(&manifest).unwrap();
    let columns = table.lines().next().unwrap().split(',').count();
    let lost = format!("{table}lost,audio/nowhere.wav{}\n", ",".repeat(columns - 2));
    let (status, answer) = api.post(&batches("d", &folder), "text/csv", &lost);
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["batch"], &answer["recordings"]), (&"d@1".into(), &25.into()));
    let status = sealed(&api, "d");
    assert_eq!((&status["rows"], &status["rejects"]), (&24.into(), &1.into()), "{status}");
    let found = api.get("/api/v1/datasets/d/rejects");
    assert_eq!(found["rejects"][0]["id"], "lost");
    assert_eq!(found["counts"]["fetch/missing_audio"], 1, "{found}");
    assert_eq!(api.get("/api/v1/datasets/d/rejects?code=other")["rejects"], json!([]));
    for (path, kind, body, code, words) in [
        (batches("d", &folder), "text/csv", "id,path\n1,a.wav\n1,b.wav\n", 422, "row 2, column id"),
        (batches("d", &folder), "text/csv", "", 422, "manifest"),
        (batches("d", &folder), "image/png", "x", 415, "text/csv"),
        (batches("d", "/etc"), "text/csv", "id,path\n1,passwd\n", 400, "may not be read"),
        (batches("a%20b", &folder), "text/csv", "id,path\n1,a\n", 400, "name"),
        ("/api/v1/datasets/d/batches/x/cancel".into(), "text/plain", "", 400, "Cannot parse"),
        ("/api/v1/dead/drop".into(), "application/json", "{}", 400, "say which"),
        ("/api/v1/dead/drop".into(), "application/json", "{\"al\":true}", 400, "unknown field"),
        ("/api/v1/models/age/promote".into(), "application/json", "{\"version\":7}", 404, "age@7"),
        ("/api/v1/models/age/rollback".into(), "application/json", "", 409, "no champion before"),
        ("/api/v1/schedules/none/pause".into(), "application/json", "", 404, "no schedule"),
    ] {
        let (status, answer) = api.post(&path, kind, body);
        let told = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == code && told.contains(words), "{path}: {status} {answer}");
    }

    // A task that no worker can read is put aside, handed out again, put aside again, dropped.
    put_aside(&cluster, &api);
    assert_eq!(api.change("/api/v1/dead/requeue", &json!({ "all": true }))["tasks"], 1);
    one_letter(&api);
    assert_eq!(api.change("/api/v1/dead/drop", &json!({ "reason": "" , "all": true }))["tasks"], 1);
    assert_eq!(api.get("/api/v1/dead")["dead"], json!([]));

    // A model, its report, its promotions.
    cluster.json(&["train", "--queue", "", "--dataset", "d", "--architecture", "ridge"]);
    let version = api.get("/api/v1/models")["models"][0].clone();
    assert_eq!((&version["model"], &version["number"]), (&"age".into(), &1.into()));
    let (status, report) = api.curl("/models/age/1/report", &["-i"]);
    assert!(status == 200 && report.contains("style-src 'unsafe-inline'"), "{report}");
    assert_eq!(api.curl("/models/age/9/report", &[]).0, 404);
    let promoted =
        api.change("/api/v1/models/age/promote", &json!({ "version": 1, "force": true }));
    assert_eq!(promoted["promotion"]["version"], 1);
    assert_eq!(api.get("/api/v1/models/age/history")["promotions"][0]["reason"], "hand");
    let runs = api.get("/api/v1/runs");
    let run = runs["runs"][0]["run"].as_str().unwrap();
    assert!(api.get(&format!("/api/v1/runs/{run}"))["metrics"].is_array());

    // A schedule.
    let source = cluster.place.text("manifests");
    std::fs::create_dir(&source).unwrap();
    let add = ["schedule", "add", "nightly", "--cron", "0 2 * * *", "--dataset", "d"];
    cluster.json(&[&add[..], &["--source", &source]].concat());
    let listed = api.get("/api/v1/schedules");
    assert!(listed["schedules"][0]["next"].is_number(), "{listed}");
    let act =
        |action: &str| api.post(&format!("/api/v1/schedules/nightly/{action}"), "text/plain", "");
    assert_eq!(act("pause").1["schedule"]["schedule"]["state"], "paused");
    assert_eq!(act("run-now").0, 409);
    assert_eq!(act("resume").0, 200);
    assert!(act("run-now").1["firing"]["due"].is_number());
    assert_eq!(act("explode").0, 404);
    let firings = api.get("/api/v1/schedules/nightly/firings");
    assert_eq!(firings["firings"][0]["claim"]["asked"], true);

    // What is cancelled is no longer part of it.
    assert_eq!(api.change("/api/v1/datasets/d/batches/1/cancel", &json!({}))["before"], false);
    let metrics = eventually(|| {
        let text = api.curl("/metrics", &[]).1;
        let told = ["voxage_schedule_paused{schedule=\"nightly\"} 0", "state=\"row\"} 0"];
        if told.iter().all(|line| text.contains(line)) { Ok(text) } else { Err(text) }
    });
    for line in [
        "voxage_schedule_bad_manifests{schedule=\"nightly\"} 0",
        "voxage_queue_consumers{queue=\"tasks\"} 1",
        "voxage_processes{role=\"feature-worker\"} 1",
        "voxage_queue_messages{queue=\"tasks\",state=\"dead\"} 0",
        "voxage_dataset_trouble{dataset=\"d\"} 0",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let documented: Value = api.get("/openapi.json");
    assert!(documented["paths"]["/api/v1/overview"]["get"].is_object());
}

#[test]
fn who_is_reached_from_elsewhere_needs_a_token() {
    let mut cluster = Cluster::start();
    let refused = |token: &str, words: &str| {
        let mut command = cluster.command(&["coordinator", "--listen", "0.0.0.0:0"]);
        let output = command.env("VOXAGE_API_TOKEN", token).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    };
    refused("", "can be reached from elsewhere");
    refused("short", "too short");
    let token = "a token that somebody chose";
    let service = cluster.service_with(&["coordinator", "--listen", "0.0.0.0:0"], |command| {
        command.env("VOXAGE_API_TOKEN", token);
    });
    let url = said(&service, "page and API: http://0.0.0.0:");
    let port: u16 = url.trim().trim_end_matches('/').parse().unwrap();
    let api = Api { url: format!("http://127.0.0.1:{port}"), token: token.to_owned() };
    assert_eq!(api.curl("/api/v1/overview", &["-H", "Host: voxage.example"]).0, 200);
    assert_eq!(api.change("/api/v1/dead/drop", &json!({ "all": true }))["tasks"], 0);
    assert!(!service.log().contains(token));
    let told = cluster.command(&["config"]).env("VOXAGE_API_TOKEN", token).output().unwrap();
    assert!(!common::stdout(&told).contains(token), "the token is shown");
}

#[test]
fn a_service_is_ready_while_it_reaches_what_it_needs() {
    let mut cluster = Cluster::start();
    let manifest = cluster.place.synth(12);
    let _coordinator = cluster.coordinator();
    let worker = cluster.worker_with(|command| {
        command.env("VOXAGE_METRICS_LISTEN", "127.0.0.1:0");
    });
    let address = said(&worker, "address=").trim().to_owned();
    let api = Api { url: format!("http://{address}"), token: String::new() };
    assert_eq!(api.curl("/readyz", &[]), (200, "ready\n".into()));
    cluster.json(&["submit", manifest.to_str().unwrap(), "--dataset", "d"]);
    cluster.sealed("d", |_| {});
    let metrics = api.curl("/metrics", &[]).1;
    for line in [
        "voxage_recordings_total{outcome=\"row\"} 12",
        "voxage_tasks_total{outcome=\"done\"} 1",
        "voxage_stage_seconds_count{stage=\"extract\"} 12",
        "voxage_stage_seconds_count{stage=\"store\"} 1",
        "voxage_task_wait_seconds_count{queue=\"voxage.tasks\"} 1",
        "role=\"feature-worker\"",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let bytes = metrics.lines().find(|line| line.contains("direction=\"written\""));
    assert!(bytes.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    cluster.broker.stop();
    eventually(|| match api.curl("/readyz", &[]) {
        (503, why) if why.starts_with("queue: ") => Ok(()),
        other => Err(other),
    });
    assert_eq!(api.curl("/healthz", &[]), (200, "ok\n".into()));
    cluster.broker.start_again();
    eventually(|| match api.curl("/readyz", &[]) {
        (200, _) => Ok(()),
        other => Err(other),
    });
}

#[test]
fn a_person_uses_the_page_in_a_browser() {
    let Some(python) = std::env::var_os("VOXAGE_BROWSER").filter(|python| !python.is_empty())
    else {
        eprintln!("SKIPPED: VOXAGE_BROWSER names no Python with Playwright; `make test` sets it");
        return;
    };
    let mut cluster = Cluster::start();
    let manifest = cluster.place.synth(40);
    let folder = manifest.parent().unwrap().to_str().unwrap().to_owned();
    let service = coordinator(&mut cluster);
    let _worker = cluster.worker();
    let _trainer = cluster.service_with(&["trainer"], |_| {});
    let api = Api::of(&service);
    cluster.json(&["submit", manifest.to_str().unwrap(), "--dataset", "d"]);
    sealed(&api, "d");
    let network = ["--architecture", "seed-cnn-mlp", "--epochs", "3"];
    cluster.json(&[&["train", "--queue", "", "--dataset", "d"], &network[..]].concat());
    cluster.json(&["models", "promote", "age@1", "--force"]);
    let source = cluster.place.text("manifests");
    std::fs::create_dir(&source).unwrap();
    let add = ["schedule", "add", "nightly", "--cron", "0 2 * * *", "--dataset", "d"];
    cluster.json(&[&add[..], &["--source", &source]].concat());
    put_aside(&cluster, &api);
    let table = std::fs::read_to_string(&manifest).unwrap();
    let columns = table.lines().next().unwrap().split(',').count();
    let lost = format!("{table}lost,audio/nowhere.wav{}\n", ",".repeat(columns - 2));
    let lost = cluster.place.write("lost.csv", &lost);
    let pictures = std::env::var("VOXAGE_TEST_PICTURES").unwrap_or_else(|_| cluster.place.text(""));
    let url = format!("{}/#token={}", api.url, api.token);
    let output = Command::new(python)
        .args(["tests/python/browse.py", &url, &lost, &folder, &pictures])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", stderr(&output), cluster.logs());
}
