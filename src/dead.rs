//! `voxage dead`: tasks that were put aside, for a person to look at.

use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::Serialize;
use serde_json::json;
use voxage_contract::Task;
use voxage_transport::DeadLetter;

use crate::settings::Keys;
use crate::{Call, ends};

pub const KEYS: Keys = &["queue", "queue_name", "queue_ca"];

/// Letters that are listed.
const SHOWN: usize = 1000;

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

#[derive(Serialize)]
struct Letter {
    shard: String,
    batch: String,
    recordings: usize,
    reason: String,
    at_unix_s: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ids: Vec<String>,
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let amqp = call.resolved.settings.amqp().await?;
    let lanes = ends::tasks(&amqp).await?.map(|lane| lane.dead_letters());
    let action = call.matches.get_one::<String>("action").context("no action")?.as_str();
    let choice = Choice::of(&call.matches);
    match action {
        "list" | "show" => {
            let mut letters = Vec::new();
            for dead in &lanes {
                letters.extend(dead.list(SHOWN).await?);
            }
            let letters: Vec<_> = letters
                .iter()
                .filter(|letter| choice.is_empty() || choice.takes(letter))
                .map(|letter| described(letter, action == "show"))
                .collect();
            call.output.answer(&json!({ "dead": letters }), || listed(&letters))?;
        }
        _ if choice.is_empty() => {
            misuse!(
                "say which: a shard's id, --reason TEXT, or --all (`voxage dead list` shows them)"
            )
        }
        verb => {
            let mut count = 0;
            for dead in &lanes {
                count += if verb == "requeue" {
                    dead.requeue(|letter| choice.takes(letter)).await?
                } else {
                    dead.discard(|letter| choice.takes(letter)).await?
                };
            }
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

/// Which letters are meant.
struct Choice {
    shard: Option<String>,
    reason: Option<String>,
    all: bool,
}

impl Choice {
    fn of(matches: &ArgMatches) -> Self {
        Self {
            // An empty text would choose everything: a variable that was not set, most likely.
            shard: matches.get_one("shard").cloned().filter(|text: &String| !text.is_empty()),
            reason: matches.get_one("reason").cloned().filter(|text: &String| !text.is_empty()),
            all: matches.get_flag("all"),
        }
    }

    fn is_empty(&self) -> bool {
        self.shard.is_none() && self.reason.is_none() && !self.all
    }

    fn takes(&self, letter: &DeadLetter) -> bool {
        let shard = || task(letter).map(|task| task.shard_id).unwrap_or_default();
        self.all
            || self.shard.as_ref().is_some_and(|start| shard().starts_with(start))
            || self.reason.as_ref().is_some_and(|text| letter.reason.contains(text))
    }
}

fn task(letter: &DeadLetter) -> Option<Task> {
    Task::read(&letter.payload).ok().map(|(task, _)| task)
}

fn described(letter: &DeadLetter, with_ids: bool) -> Letter {
    let task = task(letter).unwrap_or_default();
    let at = letter.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let ids = task.recordings.iter().filter(|_| with_ids).map(|r| r.id.clone()).collect();
    Letter {
        batch: format!("{}@{}", task.dataset, task.batch),
        recordings: task.recordings.len(),
        shard: task.shard_id,
        reason: letter.reason.clone(),
        at_unix_s: at.map(|at| at.as_secs()),
        ids,
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
