//! `voxage gc`: removes what nothing reaches any more.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::{Arg, ArgAction, Command};
use serde_json::json;
use voxage_coordinator::gc::garbage;

use crate::Call;
use crate::misuse::within;
use crate::settings::Keys;

pub const KEYS: Keys = &["root", "s3"];

/// Objects that are shown one by one.
const SHOWN: usize = 20;

pub fn command() -> Command {
    Command::new("gc")
        .about("Say what no data set, model or run needs any more; remove it with --delete")
        .after_help(
            "Shards of cancelled batches and of specs that were never sealed, parts of submissions \
             that were cut off, checkpoints of runs that have ended. What is younger than \
             --grace-days stays: somebody may be about to need it.",
        )
        .arg(
            Arg::new("delete")
                .long("delete")
                .action(ArgAction::SetTrue)
                .help("Remove it; without this, nothing is changed"),
        )
        .arg(
            Arg::new("grace-days")
                .long("grace-days")
                .value_name("DAYS")
                .value_parser(within(0.0..=36_500.0))
                .default_value("7")
                .help("What is younger stays"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let store = call.resolved.settings.existing_store().await?;
    let days = call.matches.get_one::<f64>("grace-days").copied().unwrap_or(7.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let found = garbage(&*store, now - (days * 86_400.0) as i64).await?;
    let bytes: u64 = found.iter().map(|one| one.bytes).sum();
    let deletes = call.matches.get_flag("delete");
    if deletes {
        for one in &found {
            store.delete(&one.key).await?;
        }
    }
    let answer = json!({ "garbage": found, "bytes": bytes, "deleted": deletes });
    call.output.answer(&answer, || {
        let line = |one: &voxage_coordinator::gc::Garbage| format!("{}  ({})\n", one.key, one.why);
        let mut text: String = found.iter().take(SHOWN).map(line).collect();
        if found.len() > SHOWN {
            text += &format!("… and {} more (all of them with --json)\n", found.len() - SHOWN);
        }
        let mib = bytes as f64 / f64::from(1 << 20);
        let done = if deletes { "removed" } else { "could go (--delete removes them)" };
        text + &format!("{} objects, {mib:.1} MiB {done}\n", found.len())
    })?;
    Ok(ExitCode::SUCCESS)
}
