//! A training that is killed, or asked to stop, goes on as if nothing had happened.
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Place, call, command, json, run, stderr};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use voxage_contract::keys;

/// A network with everything that has a state: batch norms, dropout, a running mean, random
/// crops, changes to batches.
const SETTINGS: &[&str] = &[
    "--architecture",
    "se-resnet",
    "--se-resnet-channels",
    "4,8",
    "--se-resnet-blocks",
    "1,1",
    "--drop-path",
    "0.2",
    "--augment-time-mask",
    "20",
    "--augment-mixup",
    "0.4",
    "--warmup-steps",
    "20",
    "--batch-size",
    "8",
    "--image",
    "random_crop",
    "--ema",
    "0.9",
    "--threads",
    "2",
    "--model",
    "killed",
];

/// A data set, features made.
fn prepared(place: &Place) -> String {
    let manifest = place.synth(60);
    let root = place.text("root");
    run(&manifest, &root, &[]);
    root
}

fn train(root: &str, epochs: &str, more: &[&str]) -> Child {
    let length = ["--epochs", epochs, "--patience", epochs];
    let args = [&["train", "--root", root, "--json"], SETTINGS, &length, more].concat();
    let mut command = command(&args);
    // Killed with its trainer, at the same instant.
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).unwrap()
}

/// The steps of a root's newest checkpoint.
fn newest_step(root: &Path) -> Option<u64> {
    let runs = std::fs::read_dir(root.join("runs")).ok()?;
    let checkpoints =
        runs.filter_map(|run| std::fs::read_dir(run.ok()?.path().join("checkpoints")).ok());
    let names =
        checkpoints.flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| keys::number_of(&name, "")).max()
}

/// Waits for a checkpoint after so many steps; false if the training ended before.
fn until(child: &mut Child, root: &Path, step: u64) -> bool {
    let start = Instant::now();
    while newest_step(root).is_none_or(|newest| newest < step) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint after {step} steps");
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// What a training came to: the weights, and all that is written about how it went.
fn outcome(root: &Path, trained: &Value) -> (Vec<u8>, Value, String) {
    let model = root.join(trained["model"].as_str().unwrap());
    let mut card: Value =
        serde_json::from_slice(&std::fs::read(model.join("card.json")).unwrap()).unwrap();
    card["run"].take();
    let predictions = root.join(trained["predictions"].as_str().unwrap());
    let weights = std::fs::read(model.join("weights.safetensors")).unwrap();
    (weights, card, std::fs::read_to_string(predictions).unwrap())
}

/// The losses of a run's metrics, by step.
fn losses(root: &str, trained: &Value) -> Vec<(u64, Value)> {
    let shown = json(&["runs", "show", trained["run"].as_str().unwrap(), "--root", root, "--json"]);
    let line = |line: &Value| (line["step"].as_u64().unwrap(), line["loss"].clone());
    shown["metrics"].as_array().unwrap().iter().map(line).collect()
}

fn copied(place: &Place, root: &str, name: &str) -> String {
    let to = place.text(name);
    let copied = std::process::Command::new("cp").args(["-r", root, &to]).status().unwrap();
    assert!(copied.success());
    for gone in ["runs", "models"] {
        std::fs::remove_dir_all(place.path(name).join(gone)).unwrap();
    }
    to
}

/// TensorBoard reads the losses of steps and epochs from a folder of event files.
fn tensorboard_reads(folder: &Path, losses: &[(u64, Value)]) {
    let Some(python) = std::env::var_os("VOXAGE_PYTHON") else {
        eprintln!("SKIPPED: VOXAGE_PYTHON names no Python; `make test` sets it");
        return;
    };
    let mut read = std::process::Command::new(python);
    let output = read.arg("tests/python/read_events.py").arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let scalars: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = |tag: &str, step: u64, value: f64| {
        scalars.as_array().unwrap().iter().any(|scalar| {
            scalar[0] == tag
                && scalar[1] == step
                && (scalar[2].as_f64().unwrap() - value).abs() <= 1e-6 * value
        })
    };
    for (step, loss) in losses {
        let loss = loss.as_f64().unwrap();
        assert!(
            found("loss", *step, loss) || found("epoch/loss", *step, loss),
            "no loss {loss} at {step} in {scalars}"
        );
    }
}

#[test]
fn a_training_killed_ten_times_is_the_same_training() {
    let place = Place::new();
    let root = prepared(&place);
    let other = copied(&place, &root, "other");
    let whole = train(&root, "8", &[]).wait_with_output().unwrap();
    assert!(whole.status.success(), "{}", stderr(&whole));
    let whole: Value = serde_json::from_slice(&whole.stdout).unwrap();

    let (mut random, mut kills) = (11_u64, 0);
    let path = place.path("other");
    while kills < 10 {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = newest_step(&path).unwrap_or(0) + 1 + (random >> 33) % 4;
        let threads = (1 + kills % 3).to_string();
        let resident = if kills % 2 == 0 { "0" } else { "100" };
        let how = ["--checkpoint-s", "0", "--loader-threads", &threads, "--resident-mib", resident];
        let mut child = train(&other, "8", &how);
        assert!(until(&mut child, &path, step), "it ended after {kills} kills");
        kill_process_group(pid(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let last = train(&other, "8", &["--loader-threads", "3"]).wait_with_output().unwrap();
    assert!(last.status.success(), "{}", stderr(&last));
    assert!(stderr(&last).contains("goes on from step"), "{}", stderr(&last));
    let last: Value = serde_json::from_slice(&last.stdout).unwrap();
    assert_eq!(outcome(Path::new(&root), &whole), outcome(&path, &last));
    let (losses, expected) = (losses(&other, &last), losses(&root, &whole));
    assert_eq!(losses, expected);
    // The newest two are kept, whatever number of lives they come from.
    let run = path.join("runs").join(last["run"].as_str().unwrap());
    assert_eq!(std::fs::read_dir(run.join("checkpoints")).unwrap().count(), 2);
    tensorboard_reads(&run.join("tensorboard"), &losses);
}

/// Asks a training to stop; gives the steps of its checkpoint, and what it said.
fn stop(child: Child, root: &Path) -> (u64, String) {
    kill_process(pid(&child), Signal::TERM).unwrap();
    let start = Instant::now();
    let stopped = child.wait_with_output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(stopped.status.code(), Some(1), "{}", stderr(&stopped));
    (newest_step(root).unwrap(), stderr(&stopped))
}

#[test]
fn a_training_that_is_asked_to_stop_leaves_a_checkpoint() {
    let place = Place::new();
    let root = prepared(&place);
    let path = place.path("root");
    std::fs::remove_dir_all(path.join("runs")).unwrap();
    let mut first = train(&root, "2000", &["--checkpoint-s", "0"]);
    assert!(until(&mut first, &path, 3));
    // Another one that wants the same run waits, and goes on where the first one stopped.
    let mut second = train(&root, "2000", &["--checkpoint-s", "0"]);
    std::thread::sleep(Duration::from_secs(1));
    let (step, said) = stop(first, &path);
    assert!(said.contains(&format!("goes on from step {step} when this is run again")), "{said}");
    assert!(until(&mut second, &path, step + 3));
    let (step, said) = stop(second, &path);
    assert!(said.contains("is being trained by process"), "{said}");
    // It is listed with what it reached.
    let listed = json(&["runs", "list", "--root", &root, "--json"]);
    let of_it = &listed["runs"][0];
    assert_eq!((&of_it["checkpoint"], &of_it["result"]), (&step.into(), &Value::Null));
}

#[test]
fn a_training_that_cannot_be_is_listed_with_the_reason() {
    let place = Place::new();
    let root = prepared(&place);
    let train = |text: &str| {
        let file = place.write("weights.safetensors", text);
        let asked = ["--architecture", "efficientnet-b0", "--pretrained", &file];
        call(&[&["train", "--root", &root], &asked[..]].concat())
    };
    let reasons = || {
        let listed = json(&["runs", "list", "--root", &root, "--json"]);
        let runs = listed["runs"].as_array().unwrap().iter();
        let reasons = runs.filter_map(|run| run["failed"].as_str().map(str::to_owned));
        reasons.collect::<Vec<_>>()
    };
    // What is no checkpoint at all is no training.
    let refused = train("no tensors, whatever");
    assert!(stderr(&refused).contains("weights.safetensors is no file of safetensors"));
    assert!(reasons().is_empty());
    let failed = train("\u{2}\0\0\0\0\0\0\0{}");
    assert_eq!(failed.status.code(), Some(1));
    let reasons = reasons();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(stderr(&failed).contains(&reasons[0]) && reasons[0].contains("weights.safetensors"));
}
