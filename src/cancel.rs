//! `voxage cancel`: withdraws a batch.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Arg, Command};
use serde_json::json;
use voxage_contract::BatchId;
use voxage_coordinator::register::cancel;

use crate::Call;
use crate::settings::Keys;

pub const KEYS: Keys = &["root", "s3"];

pub fn command() -> Command {
    Command::new("cancel")
        .about("Withdraw a batch: what it added is no longer part of its data set")
        .after_help(
            "Workers skip its tasks; shards that are made stay in the store, so that submitting \
             the manifest again costs nothing twice. Sealed versions stay as they are.",
        )
        .arg(Arg::new("batch").value_name("BATCH").required(true).help("As in calls-2026@7"))
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let batch: BatchId = call.matches.get_one::<String>("batch").context("no batch")?.parse()?;
    let store = call.resolved.settings.existing_store().await?;
    let now = cancel(&*store, &batch).await?;
    call.output.answer(&json!({ "batch": batch, "cancelled": true, "before": !now }), || {
        format!("batch {batch} {}", if now { "is cancelled" } else { "was cancelled before" })
    })?;
    Ok(ExitCode::SUCCESS)
}
