//! `voxage verify`: reads a data set whole and says whether it is what was submitted.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Arg, Command};
use voxage_contract::Name;
use voxage_coordinator::verify::verify;

use crate::Call;
use crate::settings::Keys;

pub const KEYS: Keys = &["root", "s3"];

pub fn command() -> Command {
    Command::new("verify")
        .about("Check that every submitted id is in the sealed data set exactly once, and all can be read")
        .after_help("Reads every shard. Exit code 1 if anything is wrong.")
        .arg(Arg::new("data set").value_name("DATASET").required(true).help("Its name"))
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let name: Name = call.matches.get_one::<String>("data set").context("no data set")?.parse()?;
    let store = call.resolved.settings.existing_store().await?;
    let found = verify(&*store, &name).await?;
    call.output.answer(&found, || {
        let mut text = String::new();
        for problem in &found.problems {
            text += &format!("{problem}\n");
        }
        text + &format!(
            "{}: {} ids submitted, {} rows and {} rejects in {} shards, {} problems",
            name,
            found.submitted,
            found.rows,
            found.rejects,
            found.shards,
            found.problems.len()
        )
    })?;
    Ok(if found.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
