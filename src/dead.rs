//! `voxage dead`: tasks that were put aside, for a person to look at.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;
use voxage_coordinator::dead::{self, Choice, Letter};

use crate::settings::Keys;
use crate::{Call, ends};

pub const KEYS: Keys = &["queue", "queue_name", "queue_ca"];

pub fn command() -> Command {
    let shard = Arg::new("shard").value_name("SHARD").help("Id of the shard, or its beginning");
    let reason = Arg::new("reason")
        .long("reason")
        .value_name("TEXT")
        .help("Those whose reason has this text");
    let all = Arg::new("all").long("all").action(ArgAction::SetTrue).help("All of them");
    Command::new("dead")
        .about("Look at tasks that were put aside, hand them out again, or drop them")
        .after_help(
            "A coordinator hands out lost tasks by itself; a dead letter whose shard is there \
             meanwhile can be dropped.",
        )
        .arg(
            Arg::new("action")
                .value_name("ACTION")
                .required(true)
                .value_parser(["list", "show", "requeue", "drop"])
                .help("list, show (with the recordings), requeue or drop"),
        )
        .args([shard, reason, all])
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let amqp = call.resolved.settings.amqp().await?;
    let lanes = ends::tasks(&amqp).await?;
    let action = call.matches.get_one::<String>("action").context("no action")?.as_str();
    let choice = choice(&call.matches);
    match action {
        "list" | "show" => {
            let letters = dead::list(&lanes, &choice, action == "show").await?;
            call.output.answer(&json!({ "dead": letters }), || listed(&letters))?;
        }
        _ if choice.is_empty() => {
            misuse!(
                "say which: a shard's id, --reason TEXT, or --all (`voxage dead list` shows them)"
            )
        }
        verb => {
            let count = match verb {
                "requeue" => dead::requeue(&lanes, &choice).await?,
                _ => dead::discard(&lanes, &choice).await?,
            };
            if count == 0 && !choice.all {
                bail!("no task that was put aside is meant by that: `voxage dead list` shows them");
            }
            call.output.answer(&json!({ "action": verb, "tasks": count }), || {
                format!(
                    "{count} tasks {}",
                    if verb == "requeue" { "handed out again" } else { "dropped" }
                )
            })?;
        }
    }
    amqp.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Which letters are meant. An empty text would choose everything: a variable that was not
/// set, most likely.
fn choice(matches: &ArgMatches) -> Choice {
    let text = |name: &str| matches.get_one(name).cloned().filter(|text: &String| !text.is_empty());
    Choice {
        shards: text("shard").into_iter().collect(),
        reason: text("reason"),
        all: matches.get_flag("all"),
    }
}

fn listed(letters: &[Letter]) -> String {
    if letters.is_empty() {
        return "nothing was put aside".into();
    }
    let mut text = String::new();
    for Letter { shard, batch, recordings, reason, ids, .. } in letters {
        text += &format!("{shard}  {batch}  {recordings} recordings  {reason}\n");
        for id in ids {
            text += &format!("    {id}\n");
        }
    }
    text
}
