//! Tasks that were put aside, for a person to look at.

use std::time::UNIX_EPOCH;

use serde::Serialize;
use voxage_contract::Task;
use voxage_transport::{AmqpQueue, DeadLetter};

use crate::Result;

/// Letters of a queue that are listed, at most.
const SHOWN: usize = 1000;

/// A task that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// Id of its shard.
    pub shard: String,
    /// Its batch, as in calls-2026@7.
    pub batch: String,
    /// Recordings in it.
    pub recordings: usize,
    /// Why.
    pub reason: String,
    /// When, in seconds since 1970.
    pub at_unix_s: Option<u64>,
    /// Ids of its recordings, where they are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

/// Which letters are meant: those of a shard whose id begins so, those whose reason has this
/// text, or all.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Beginnings of shards' ids.
    pub shards: Vec<String>,
    /// Text of reasons.
    pub reason: Option<String>,
    /// All of them.
    pub all: bool,
}

impl Choice {
    /// Whether nothing is chosen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty() && self.reason.is_none() && !self.all
    }

    fn takes(&self, letter: &DeadLetter) -> bool {
        let shard = || task(letter).map(|task| task.shard_id).unwrap_or_default();
        self.all
            || (!self.shards.is_empty() && {
                let shard = shard();
                self.shards.iter().any(|start| shard.starts_with(start))
            })
            || self.reason.as_ref().is_some_and(|text| letter.reason.contains(text))
    }
}

/// The letters of some queues; with nothing chosen, all.
///
/// # Errors
/// If the broker fails.
pub async fn list(queues: &[AmqpQueue], choice: &Choice, with_ids: bool) -> Result<Vec<Letter>> {
    let mut letters = Vec::new();
    for queue in queues {
        let found = queue.dead_letters().list(SHOWN).await?;
        let meant = found.iter().filter(|letter| choice.is_empty() || choice.takes(letter));
        letters.extend(meant.map(|letter| described(letter, with_ids)));
    }
    Ok(letters)
}

/// Hands those that are meant out again; gives their number.
///
/// # Errors
/// If the broker fails.
pub async fn requeue(queues: &[AmqpQueue], choice: &Choice) -> Result<usize> {
    let mut count = 0;
    for queue in queues {
        count += queue.dead_letters().requeue(|letter| choice.takes(letter)).await?;
    }
    Ok(count)
}

/// Drops those that are meant; gives their number.
///
/// # Errors
/// If the broker fails.
pub async fn discard(queues: &[AmqpQueue], choice: &Choice) -> Result<usize> {
    let mut count = 0;
    for queue in queues {
        count += queue.dead_letters().discard(|letter| choice.takes(letter)).await?;
    }
    Ok(count)
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
