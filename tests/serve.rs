//! Predictions over HTTP: as `voxage predict` gives them, with a clear no for whatever is wrong.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Place, command, json};
use serde_json::Value;

struct Server {
    child: Child,
    address: String,
    log: std::path::PathBuf,
}

impl Server {
    fn start(place: &Place, root: &str, more: &[&str]) -> Self {
        let log = place.path("serve.log");
        let args =
            [&["serve", "--root", root, "--listen", "127.0.0.1:0", "--log-format", "json"], more];
        let mut child = command(&args.concat());
        let file = std::fs::File::create(&log).unwrap();
        let child = child.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let mut server = Self { child, address: String::new(), log };
        server.address = server.said("\"serving\"", |line| line["fields"]["address"].clone());
        server
    }

    /// Waits for a line of the log.
    fn said(&mut self, what: &str, of: impl Fn(&Value) -> Value) -> String {
        let start = Instant::now();
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap();
            if let Some(line) = log.lines().rfind(|line| line.contains(what)) {
                let line: Value = serde_json::from_str(line).unwrap();
                return of(&line).as_str().unwrap_or_default().to_owned();
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {log}");
            assert!(start.elapsed() < Duration::from_secs(60), "{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it answers to a request with these headers and this body: status and body.
    fn ask(&self, request: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let length = format!("Content-Length: {}\r\n", body.len());
        self.raw(&format!("{request} HTTP/1.1\r\nHost: x\r\n{length}{headers}\r\n"), body)
    }

    fn raw(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes()).unwrap();
        // It may answer before it has read everything.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap_or("0").parse().unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        (status, body)
    }

    fn predict(&self, query: &str, audio: &[u8]) -> (u16, Value) {
        let (status, body) = self.ask(&format!("POST /v1/predict{query}"), "", audio);
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn predicted(root: &str, audio: &Path) -> Value {
    let args = ["predict", "--root", root, "--json", audio.to_str().unwrap()];
    json(&[&args[..], &["--gender", "female"]].concat())["predictions"][0].clone()
}

#[test]
fn it_answers_as_predict_does_and_follows_promotions() {
    let place = Place::new();
    let (manifest, root) = (place.synth(120), place.text("root"));
    let train = |more: &[&str]| {
        json(&[&["run", manifest.to_str().unwrap(), "--root", &root, "--json"], more].concat())
    };
    train(&[]);
    let mut server = Server::start(&place, &root, &[]);
    let voice = manifest.with_file_name("audio").join("v0003-0.wav");
    let audio = std::fs::read(&voice).unwrap();
    let expected = predicted(&root, &voice);
    let (status, said) = server.predict("?gender=female&id=me", &audio);
    assert_eq!(status, 200, "{said}");
    let near = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-9;
    assert!(near(&said["age"], &expected["age"]), "{said} {expected}");
    assert!(near(&said["interval"][0], &expected["interval"][0]));
    assert_eq!((&said["id"], &said["warnings"]), (&"me".into(), &expected["warnings"]));
    assert!(said["model"].as_str().unwrap().ends_with("/versions/00000001/"));

    // As a form, with a column that is known.
    let mut form =
        b"--X\r\nContent-Disposition: form-data; name=\"gender\"\r\n\r\nf\r\n--X\r\n".to_vec();
    form.extend(b"Content-Disposition: form-data; name=\"num_words\"\r\n\r\n12\r\n--X\r\n");
    form.extend(b"Content-Disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\n");
    form.extend(&audio);
    form.extend(b"\r\n--X--\r\n");
    let kind = "Content-Type: multipart/form-data; boundary=X\r\n";
    let (status, body) = server.ask("POST /v1/predict", kind, &form);
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{said}");
    let warned = said["warnings"].to_string();
    assert!(!warned.contains("imputed: gender"), "{said}");
    let (_, said) = server.predict("", &audio);
    assert!(said["warnings"].to_string().contains("imputed: gender"), "{said}");

    // A long one, too.
    let long = place.text("long");
    json(&["synth", &long, "--recordings", "1", "--seconds", "90", "--json"]);
    let long = std::fs::read(place.path("long").join("audio").join("v0000-0.wav")).unwrap();
    let mut form = b"--X\r\nContent-Disposition: form-data; name=\"audio\"\r\n\r\n".to_vec();
    form.extend(&long);
    form.extend(b"\r\n--X--\r\n");
    assert!(form.len() > 2 << 20);
    let (status, body) = server.ask("POST /v1/predict", kind, &form);
    assert_eq!(status, 200, "{body}");

    // Another version answers once it is the champion, not before.
    train(&["--architecture", "ridge"]);
    json(&["models", "promote", "age@1", "--force", "--root", &root, "--json"]);
    json(&["models", "promote", "age@2", "--force", "--root", &root, "--json"]);
    server.said("00000002", |_| Value::Null);
    let (_, said) = server.predict("?gender=female", &audio);
    assert!(said["model"].as_str().unwrap().ends_with("/versions/00000002/"), "{said}");
    assert!(near(&said["age"], &predicted(&root, &voice)["age"]));
    json(&["models", "rollback", "age", "--root", &root, "--json"]);
    server.said("00000001/ answers now", |_| Value::Null);

    let (status, metrics) = server.ask("GET /metrics", "", b"");
    assert!(status == 200 && metrics.contains("voxage_serve_answers_total{status=\"200\"} 5"));
    let (_, document) = server.ask("GET /openapi.json", "", b"");
    assert!(serde_json::from_str::<Value>(&document).unwrap()["paths"]["/v1/predict"].is_object());
    let pid = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_wrong_is_said_and_costs_nothing() {
    let place = Place::new();
    let (manifest, root) = (place.synth(40), place.text("root"));
    json(&["run", manifest.to_str().unwrap(), "--root", &root, "--json"]);
    let server =
        Server::start(&place, &root, &["--body-mib", "1", "--memory-mib", "2", "--timeout-s", "3"]);
    let audio = std::fs::read(manifest.with_file_name("audio").join("v0003-0.wav")).unwrap();
    let code = |(status, said): (u16, Value)| {
        (status, said["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let check = |query: &str, body: &[u8], status: u16, expected: &str| {
        assert_eq!(code(server.predict(query, body)), (status, expected.to_owned()), "{query}");
    };
    check("", b"", 400, "no_audio");
    check("", b"this is no audio at all", 422, "unknown_format");
    check("?gender=other", &audio, 400, "bad_gender");
    check("?shoe_size=44", &audio, 400, "unknown_field");
    check("?tempo=fast", &audio, 400, "bad_number");
    check("?gender=male&gender=female", &audio, 400, "twice");
    check("", &vec![0; (1 << 20) + 1], 413, "too_large");
    // A length that is claimed is believed at once, whatever follows.
    let claim = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n";
    assert_eq!(server.raw(claim, b"").0, 413);
    // One that is not claimed ends where it may.
    let mut chunked = Vec::new();
    for _ in 0..40 {
        chunked.extend(format!("{:x}\r\n", 64 << 10).bytes());
        chunked.extend(vec![0; 64 << 10]);
        chunked.extend(b"\r\n");
    }
    let head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(server.raw(head, &chunked).0, 413);
    // A body that never comes.
    let head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    assert_eq!(server.raw(head, b"some").0, 408);
    // Bodies that are only claimed take no room from others.
    let head = "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    let idle: Vec<_> = (0..6)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let start = Instant::now();
    assert_eq!(server.predict("", &audio).0, 200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(idle);
    let (status, _) = server.ask("GET /v2/predict", "", b"");
    assert_eq!(status, 404);
    let (status, said) = server.ask("GET /v1/predict", "", b"");
    assert!(status == 405 && said.contains("method_not_allowed"), "{said}");
    let kind = "Content-Type: multipart/form-data; boundary=X\r\n";
    assert_eq!(server.ask("POST /v1/predict", kind, b"--Y\r\nnot a form").0, 400);
    let misplaced = b"--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nx\r\n--X--\r\n";
    let (status, said) = server.ask("POST /v1/predict", kind, misplaced);
    assert!(status == 400 && said.contains("'audio'"), "{said}");
    // It is as well as before.
    assert_eq!(server.predict("", &audio).0, 200);
    assert_eq!(server.ask("GET /readyz", "", b"").0, 200);
}

#[test]
fn many_at_a_time_are_all_answered() {
    let place = Place::new();
    let (manifest, root) = (place.synth(40), place.text("root"));
    json(&["run", manifest.to_str().unwrap(), "--root", &root, "--json"]);
    let server = Server::start(&place, &root, &["--slots", "2"]);
    let audio = std::fs::read(manifest.with_file_name("audio").join("v0003-0.wav")).unwrap();
    let (_, expected) = server.predict("", &audio);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let (status, said) = server.predict("", &audio);
                        assert_eq!(status, 200, "{said}");
                        let apart =
                            said["age"].as_f64().unwrap() - expected["age"].as_f64().unwrap();
                        assert!(apart.abs() < 1e-6);
                    }
                })
            })
            .collect();
        asking.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
