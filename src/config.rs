//! `voxage config`: the effective settings and where each came from.

use std::process::ExitCode;

use anyhow::Result;
use clap::Command;
use serde_json::json;

use crate::Call;
use crate::settings::Keys;

pub const KEYS: Keys = &[
    "root",
    "dataset",
    "audio_root",
    "model",
    "slots",
    "shard_recordings",
    "shard_mib",
    "queue",
    "queue_name",
    "queue_ca",
    "audio_roots",
    "grace_s",
    "log_format",
    "s3",
    "cache",
    "spec",
    "train",
    "gate",
];

pub fn command() -> Command {
    Command::new("config")
        .about("Print every setting with its value and where it came from")
        .after_help(
            "Order: flags, then VOXAGE_* variables, then --spec and --train, then --config, then defaults.",
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let effective = call.resolved.effective();
    call.output.answer(&json!({ "settings": effective }), || {
        effective.iter().map(|setting| format!("{setting}\n")).collect()
    })?;
    Ok(ExitCode::SUCCESS)
}
