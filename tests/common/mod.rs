//! What the tests of the command share: a folder of its own for each, calls, and a look
//! into what was made.
#![allow(dead_code, clippy::expect_used, clippy::unwrap_used)]

pub mod cluster;
pub mod proxy;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use voxage_contract::{SealedManifest, keys};
use voxage_shards::{Columns, Row, Shard};

/// Settings that train in a moment: the tests are about the way, not the model.
pub const QUICK: &[&str] =
    &["--architecture", "seed-cnn-mlp", "--epochs", "2", "--channels", "4,8", "--image-units", "8"];

/// A folder that goes away with the test.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Synthesises recordings and gives their manifest.
    pub fn synth(&self, recordings: usize) -> PathBuf {
        self.synth_of(recordings, "1.5")
    }

    /// Synthesises recordings of some seconds.
    pub fn synth_of(&self, recordings: usize, seconds: &str) -> PathBuf {
        let (folder, n) = (self.text("voices"), recordings.to_string());
        json(&["synth", &folder, "--recordings", &n, "--seconds", seconds, "--json"]);
        self.path("voices").join("recordings.csv")
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

pub fn command(args: &[&str]) -> Command {
    command_of(env!("CARGO_BIN_EXE_voxage").as_ref(), args)
}

/// A call of a program that is voxage, of whichever version.
pub fn command_of(program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    // Settings of the machine must not reach the tests.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOXAGE_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

pub fn call(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// A call that must succeed and answer JSON.
pub fn json(args: &[&str]) -> Value {
    let output = call(args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `voxage run` with quick settings.
pub fn run(manifest: &Path, root: &str, more: &[&str]) -> Value {
    json(&[&["run", manifest.to_str().unwrap(), "--root", root, "--json"], QUICK, more].concat())
}

/// The real recordings, if this machine has them; says so if it has not.
pub fn data(set: &str) -> Option<PathBuf> {
    let given = std::env::var_os("VOXAGE_DATA").map(PathBuf::from);
    let beside = || std::env::current_dir().unwrap().join("../shared/data");
    let folder = given.unwrap_or_else(beside).join(set);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: {} is not there; VOXAGE_DATA names the real recordings", folder.display());
    None
}

/// Every row that a sealed manifest counts, by id; fails if an id counts twice.
pub fn sealed_rows(root: &Path, manifest: &str) -> BTreeMap<String, Row> {
    let bytes = std::fs::read(root.join(manifest)).unwrap();
    let sealed: SealedManifest = serde_json::from_slice(&bytes).unwrap();
    let mut rows = BTreeMap::new();
    for entry in &sealed.shards {
        let key = keys::shard(&sealed.dataset, &sealed.spec_id, &entry.id);
        let shard = Shard::open(std::fs::read(root.join(key)).unwrap().into()).unwrap();
        for (i, row) in (0..).zip(shard.rows(Columns::All).unwrap()) {
            let row = row.unwrap();
            if !entry.replaced.contains(&i) {
                let twice = rows.insert(row.recording.id.clone(), row);
                assert!(twice.is_none(), "{:?} counts twice", twice.map(|row| row.recording.id));
            }
        }
    }
    assert_eq!(rows.len() as u64, sealed.submitted);
    rows
}

/// Every file under a root, which must all be objects of the layout.
pub fn objects(root: &Path) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut files = Vec::new();
    walk(root, &mut files);
    let key = |file: &PathBuf| file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let mut keys: Vec<_> = files.iter().map(key).collect();
    keys.sort();
    for key in &keys {
        assert!(keys::is_known(key), "{key} is outside the layout");
    }
    keys
}
