//! `voxage feature-worker`: takes tasks and makes shards, until it is stopped.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Command;
use tracing::info;
use voxage_features::{Isolation, Progress, Worker};

use crate::settings::{Keys, Settings};
use crate::{Call, ends, isolated, observe};

pub const KEYS: Keys = &[
    "root",
    "queue",
    "queue_name",
    "queue_ca",
    "audio_roots",
    "slots",
    "grace_s",
    "s3",
    "log_format",
    "metrics_listen",
];

pub fn command() -> Command {
    Command::new("feature-worker")
        .about("Extract features for whoever submits; run as many as you like, anywhere")
        .after_help(
            "It reads audio only below --root and --audio-roots. SIGTERM: it takes no more tasks, \
             finishes those in hand within --grace-s, hands back the rest, and ends with code 0. \
             The weights of an embedding, if one is asked for, are those that VOXAGE_WEIGHTS names.",
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let amqp = settings.amqp().await?;
    let progress = Arc::new(Progress::default());
    let worker = Worker {
        store: settings.store().await?,
        queues: ends::tasks(&amqp).await?.map(|queue| Arc::new(queue) as _).into(),
        sources: settings.allowed_sources()?,
        slots: settings.slots,
        progress: Arc::clone(&progress),
        isolation: Some(isolation(settings)?),
        grace: Duration::from_secs(settings.grace_s),
    };
    observe::start(settings, "feature-worker", &worker.store, &amqp).await?;
    let process = ends::process("feature-worker");
    info!(process, slots = settings.slots, "feature worker ready");
    tokio::select! {
        ended = worker.run(call.stop) => ended?,
        () = ends::beats(&amqp, "feature-worker", &process, |beat| {
            beat.shards = progress.shards();
            beat.slots = settings.slots as u32;
            beat.recordings = progress.recordings();
            beat.rejects = progress.rejects();
            beat.audio_s = progress.audio_s();
        }) => {}
    }
    info!(
        recordings = progress.recordings(),
        rejects = progress.rejects(),
        "feature worker stopped"
    );
    amqp.close().await;
    Ok(ExitCode::SUCCESS)
}

/// This very program, as it extracts one recording.
fn isolation(settings: &Settings) -> Result<Isolation> {
    let mut arguments = vec![isolated::NAME.to_owned()];
    for (flag, value) in [
        ("--root", &settings.root),
        ("--audio-roots", &settings.audio_roots.join(",")),
        ("--s3-endpoint", &settings.s3.endpoint),
        ("--s3-region", &settings.s3.region),
        ("--s3-path-style", &format!("{:?}", settings.s3.path_style).to_lowercase()),
    ] {
        if !value.is_empty() {
            arguments.extend([flag.to_owned(), value.clone()]);
        }
    }
    Ok(Isolation { program: std::env::current_exe()?, arguments })
}
