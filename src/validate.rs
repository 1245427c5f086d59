//! `voxage validate`: a manifest and its audio, checked before any work.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Result;
use clap::Command;
use serde::Serialize;
use tokio::runtime::Handle;
use voxage_coordinator::Problem;
use voxage_features::probe;
use voxage_transport::source::{self, Sources};

use crate::progress::Progress;
use crate::settings::Keys;
use crate::{Call, manifest};

pub const KEYS: Keys = &["audio_root", "slots"];

pub fn command() -> Command {
    Command::new("validate")
        .about("Check a manifest and the beginning of every recording, and do nothing else")
        .after_help(
            "Rows are counted from 1 below the header. Exit code 1 if there is any problem.",
        )
        .arg(manifest::arg())
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    rows: u64,
    problems: Vec<Problem>,
    summary: BTreeMap<String, u64>,
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let path = manifest::of(&call.matches)?;
    // A manifest that is not there is a problem of it like any other.
    let root = if path.exists() {
        manifest::audio_root(&path, settings)?
    } else {
        source::root_uri(Path::new("/"))?
    };
    let (sender, receiver) = sync_channel::<(u64, String)>(1024);
    let bench = Bench {
        root: &root,
        sources: Sources::any(),
        runtime: Handle::current(),
        waiting: Mutex::new(receiver),
        found: Mutex::default(),
        probed: AtomicU64::new(0),
    };
    let mut progress = Progress::new("validate", 0);
    let mut checked = thread::scope(|scope| {
        for _ in 0..settings.slots {
            scope.spawn(|| bench.work());
        }
        let checked = manifest::check(&path, &root, |row, recording| {
            // A recording that is rejected anyway needs no look at its audio.
            if recording.reject.is_none() {
                let _ = sender.send((row, recording.path.clone()));
            }
            progress.set(bench.probed.load(Ordering::Relaxed), 0, "recordings probed");
        });
        drop(sender);
        checked
    })?;
    let probed = bench.probed.into_inner();
    progress.finish(&format!("{} rows, {probed} recordings probed", checked.rows));
    let found = bench.found.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter();
    checked.problems.extend(
        found.map(|(row, code, message)| Problem::audio(row, &checked.path_column, &code, message)),
    );
    checked.problems.sort_by_key(|problem| problem.row);
    let mut summary = BTreeMap::new();
    for problem in &checked.problems {
        *summary.entry(problem.code.clone()).or_insert(0) += 1;
    }
    let ok = checked.problems.is_empty();
    let answer = Answer { ok, rows: checked.rows, problems: checked.problems, summary };
    call.output.answer(&answer, || {
        let all: Vec<_> = answer.problems.iter().collect();
        let mut text = manifest::listed(&path, &all);
        for (code, count) in &answer.summary {
            text += &format!("{count:6} × {code}\n");
        }
        text + &format!("{} rows, {} problems", answer.rows, answer.problems.len())
    })?;
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Probes recordings, on several threads.
struct Bench<'a> {
    root: &'a str,
    sources: Sources,
    runtime: Handle,
    waiting: Mutex<Receiver<(u64, String)>>,
    found: Mutex<Vec<(u64, String, String)>>,
    probed: AtomicU64,
}

impl Bench<'_> {
    fn work(&self) {
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((row, path)) = next else { return };
            let problem = match self.runtime.block_on(probe(&self.sources, self.root, &path)) {
                Ok(Ok(_)) => None,
                Ok(Err(reject)) => Some((reject.code, reject.message)),
                Err(error) => Some(("unreadable_audio".to_owned(), format!("{path}: {error}"))),
            };
            if let Some((code, message)) = problem {
                self.found
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((row, code, message));
            }
            self.probed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
