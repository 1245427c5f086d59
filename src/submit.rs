//! `voxage submit`: a manifest into the store as a batch, for coordinators to plan.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Arg, ArgAction, Command};
use prost::Message as _;
use serde_json::json;
use voxage_contract::Beat;
use voxage_contract::wire::WIRE_VERSION;
use voxage_coordinator::status::State;
use voxage_coordinator::{Severity, Submission, submit};
use voxage_transport::Amqp;

use crate::progress::Progress;
use crate::settings::{Keys, Settings};
use crate::upload::{Uploaded, upload};
use crate::{Call, ends, manifest, status};

pub const KEYS: Keys = &[
    "root",
    "queue",
    "queue_name",
    "queue_ca",
    "dataset",
    "audio_root",
    "slots",
    "shard_recordings",
    "shard_mib",
    "spec",
    "s3",
];

pub fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new("submit")
        .about("Hand a manifest in as a batch; coordinators and feature workers do the rest")
        .after_help(
            "Submit again at any time: only what is new or changed is done, and a file that was \
             missing is looked for again. What was cut off starts anew and costs nothing twice.",
        )
        .arg(manifest::arg())
        .arg(flag("wait", "Follow it to its end"))
        .arg(flag(
            "upload",
            "Copy the audio into the store first, for workers that cannot reach it",
        ))
        .arg(flag(
            "no-stat",
            "Do not look up sizes and etags of the audio: faster, but changed files go unnoticed",
        ))
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let path = manifest::of(&call.matches)?;
    let dataset = manifest::dataset(&path, settings)?;
    let local_root = manifest::audio_root(&path, settings)?;
    let mut audio = Vec::new();
    let uploads = call.matches.get_flag("upload");
    let checked = manifest::check(&path, &local_root, |_, recording| {
        if uploads {
            audio.push(recording.path.clone());
        }
    })?;
    manifest::refuse_structural(&path, &checked)?;
    let store = settings.store().await?;
    // Refused before anything is written, if it is.
    let amqp = if settings.queue.is_empty() { None } else { Some(settings.amqp().await?) };
    let uploaded = if uploads {
        upload(&*store, &dataset, &local_root, audio, settings.slots).await?
    } else {
        Uploaded::default()
    };
    let submission = Submission {
        manifest: path.clone(),
        paths_root: local_root.clone(),
        audio_root: if uploads { settings.upload_root(&dataset)? } else { local_root },
        dataset: dataset.clone(),
        spec: settings.spec.clone(),
        shards: settings.shard_limits(),
        stat_sources: !call.matches.get_flag("no-stat"),
        scheduled: false,
    };
    refuse_unreachable(&submission.audio_root, settings)?;
    let mut progress = Progress::new("submit", checked.rows);
    let rejects = checked.problems.iter().filter(|one| one.severity == Severity::Reject);
    let rejects: BTreeSet<_> = rejects.map(|problem| problem.row).collect();
    if !rejects.is_empty() {
        say!(
            "note: {} rows will be rejects: `voxage validate {}` names them",
            rejects.len(),
            path.display()
        );
    }
    let change = move |recording: &mut _| {
        if uploads {
            uploaded.place(recording);
        }
    };
    let rows = checked.rows;
    let done = submit(&*store, submission, change, |n| progress.set(n, rows, "")).await?;
    progress.finish(&format!("{} recordings", done.recordings));
    if let Some(amqp) = amqp {
        tell(&amqp, dataset.as_str()).await;
    }
    let known = if done.new { "" } else { " (submitted before, nothing is new)" };
    let mut answer = json!({
        "batch": done.batch,
        "new": done.new,
        "recordings": done.recordings,
    });
    let mut text = format!("batch {}{known}\n", done.batch);
    let mut cancelled = false;
    if call.matches.get_flag("wait") {
        say!("{}", text.trim_end());
        let status = status::follow(&*store, settings, &done.batch).await?;
        text += &status::table(&status);
        answer["datasets"] = json!([status]);
        let mut batches = status.batches.iter();
        cancelled =
            batches.any(|one| one.number == done.batch.number && one.state == State::Cancelled);
    }
    call.output.answer(&answer, || text)?;
    Ok(if cancelled { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A folder of this machine means nothing to workers on others, if the store is not on it too.
fn refuse_unreachable(audio_root: &str, settings: &Settings) -> Result<()> {
    let folder = audio_root.strip_prefix("file://");
    match folder {
        Some(folder) if !Path::new(folder).is_dir() => bail!("{folder} is no folder"),
        Some(folder) if settings.root.starts_with("s3://") => {
            say!(
                "note: workers must see the audio under {folder} too, and be started with \
                 --audio-roots {folder}; or submit it with --upload"
            );
            Ok(())
        }
        None if !audio_root.starts_with(settings.root.as_str()) => {
            say!("note: coordinators and workers must be started with --audio-roots {audio_root}");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Lets coordinators know at once; without it they look within seconds.
async fn tell(amqp: &Amqp, dataset: &str) {
    let beat = Beat {
        version: WIRE_VERSION,
        process: ends::process("submit"),
        role: "submit".into(),
        dataset: dataset.into(),
        ..Beat::default()
    };
    amqp.publish_beat(beat.encode_to_vec().into());
    // It goes out in the background.
    tokio::time::sleep(Duration::from_millis(200)).await;
    amqp.close().await;
}
