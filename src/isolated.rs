//! `voxage extract-task`: one task from standard input to a shard on standard output; what a
//! feature worker starts for a recording that may take its process down.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::Command;
use voxage_features::{Pool, answer};

use crate::Call;
use crate::settings::Keys;

pub const KEYS: Keys = &["root", "audio_roots", "s3"];

pub const NAME: &str = "extract-task";

pub fn command() -> Command {
    Command::new(NAME)
        .hide(true)
        .about("One task from standard input to a shard on standard output")
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let mut task = Vec::new();
    std::io::stdin().read_to_end(&mut task)?;
    match answer(&Pool::new(1, settings.allowed_sources()?), &task).await {
        Ok(shard) => std::io::stdout().write_all(&shard)?,
        Err(error) => {
            // Whoever started this reads it there. What a recording is at fault for is a row.
            print!("{error}");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
