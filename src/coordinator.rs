//! `voxage coordinator`: plans, dispatches, seals and reconciles, until it is stopped.

use std::process::ExitCode;

use anyhow::Result;
use clap::Command;
use voxage_coordinator::Coordinator;

use crate::settings::Keys;
use crate::{Call, ends};

pub const KEYS: Keys =
    &["root", "queue", "queue_name", "queue_ca", "audio_roots", "s3", "log_format"];

pub fn command() -> Command {
    Command::new("coordinator")
        .about("Plan what is submitted, hand out tasks, seal what is complete; run one or several")
        .after_help(
            "It keeps nothing: stop it, kill it, start another at any time. It looks at the audio's \
             sizes and etags only below --root and --audio-roots.",
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let coordinator = Coordinator {
        store: settings.store().await?,
        amqp: settings.amqp().await?,
        sources: settings.allowed_sources()?,
        process: ends::process("coordinator"),
    };
    coordinator.run(call.stop).await?;
    Ok(ExitCode::SUCCESS)
}
