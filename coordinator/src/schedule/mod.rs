//! Schedules: what is taken in, trained and promoted again and again, and when.
//!
//! Always holds: a schedule is a row of numbered objects of which the highest is in force;
//! each firing is claimed by a conditional put, and everything about it is written down
//! beside its claim. Any number of coordinators may look after them. Time is an argument.

pub mod calendar;
pub mod firing;
mod night;
pub mod stages;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tracing::warn;
use voxage_contract::training::TrainSettings;
use voxage_contract::{FeatureSpec, Name, ShardLimits, keys};
use voxage_transport::{Put, Store, StoreExt as _};

pub use calendar::{Calendar, Instant};
pub use chrono_tz::Tz as Zone;
pub use firing::{Claim, End, Firing, Outcome, firings, recent};
pub use night::{Night, retry, run_now};

use crate::registry::Gate;
use crate::{Error, Result};

/// What a schedule does, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// When: a cron expression.
    pub cron: String,
    /// In which time zone, by the IANA's name.
    pub zone: String,
    /// Folder or `s3://` place of the manifests that are taken in.
    pub source: String,
    /// URI that their paths are relative to; none for each manifest's own folder.
    pub audio_root: Option<String>,
    /// The data set that they go into.
    pub dataset: Name,
    /// Its features.
    pub spec: FeatureSpec,
    /// How shards are cut.
    pub shards: ShardLimits,
    /// The model that is trained on it.
    pub model: Name,
    /// How.
    pub settings: TrainSettings,
    /// What a training's network starts from.
    #[serde(default)]
    pub start: Start,
    /// What a new version must do to become the champion.
    pub gate: Gate,
    /// What becomes of a firing that nobody was there for.
    pub missed: Missed,
    /// What becomes of a firing while another is at work.
    pub overlap: Overlap,
    /// Whether it fires.
    pub state: State,
    /// Nothing fires up to then.
    pub since: Instant,
}

/// What a training's network starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Chance.
    #[default]
    Scratch,
    /// The weights of the champion, if it is a network of the same kind and sizes.
    Champion,
}

/// What becomes of a firing that comes more than [`firing::LATE_S`] late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missed {
    /// The last one that was missed is run late.
    Run,
    /// It is left out.
    Skip,
}

/// What becomes of a firing while an earlier one is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It waits for its turn.
    Queue,
    /// It is left out.
    Skip,
}

/// Whether a schedule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    Active,
    /// It does not; what waits is withdrawn, what is at work ends.
    Paused,
    /// It does not, and what is at work is withdrawn too.
    Removed,
}

impl Schedule {
    /// When it fires.
    ///
    /// # Errors
    /// What is wrong with its times.
    pub fn calendar(&self) -> Result<Calendar> {
        Calendar::new(&self.cron, &self.zone).map_err(Error::Schedule)
    }
}

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Its name.
    pub name: Name,
    /// The number of the settings that are in force.
    pub number: u64,
    /// They.
    pub schedule: Schedule,
}

/// All schedules that are not removed; one that is damaged is left out, and logged.
///
/// # Errors
/// If the store fails.
pub async fn schedules(store: &dyn Store) -> Result<Vec<Standing>> {
    let mut all = Vec::new();
    for (name, number) in numbers(store).await? {
        match settings(store, &name, number).await {
            Ok(schedule) if schedule.state == State::Removed => {}
            Ok(schedule) => all.push(Standing { name, number, schedule }),
            Err(error @ Error::Damaged { .. }) => warn!(%error, "a schedule is left out"),
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Which settings of each schedule are in force, those of removed ones among them.
async fn numbers(store: &dyn Store) -> Result<BTreeMap<Name, u64>> {
    let mut newest = BTreeMap::new();
    for key in store.keys(keys::SCHEDULES).await? {
        if let Some((name, number)) = keys::schedule_of(&key) {
            let last = newest.entry(name).or_insert(0);
            *last = number.max(*last);
        }
    }
    Ok(newest)
}

/// A schedule as it was under a number.
async fn settings(store: &dyn Store, name: &Name, number: u64) -> Result<Schedule> {
    let key = keys::schedule(name, number);
    serde_json::from_slice(&store.get(&key).await?).map_err(|error| Error::damaged(&key, error))
}

/// The schedule of a name that is not removed.
///
/// # Errors
/// If there is none, or the store fails.
pub async fn schedule(store: &dyn Store, name: &Name) -> Result<Standing> {
    let found = latest(store, name).await;
    match found {
        Ok(removed) if removed.schedule.state == State::Removed => {
            Err(Error::NoSchedule(name.to_string()))
        }
        found => found,
    }
}

/// The schedule of a name, removed or not: its firings stay.
///
/// # Errors
/// If there never was one, or the store fails.
pub async fn latest(store: &dyn Store, name: &Name) -> Result<Standing> {
    let number = numbers(store).await?.remove(name);
    let number = number.ok_or_else(|| Error::NoSchedule(name.to_string()))?;
    let schedule = settings(store, name, number).await?;
    Ok(Standing { name: name.clone(), number, schedule })
}

/// Pauses, resumes or removes a schedule. What was due while it did not fire is not made up
/// for.
///
/// # Errors
/// As [`put`].
pub async fn set_state(
    store: &dyn Store,
    standing: &Standing,
    state: State,
    now: Instant,
) -> Result<u64> {
    let Standing { name, schedule, .. } = standing;
    let since = if state == State::Active { now } else { schedule.since };
    put(store, name, &Schedule { state, since, ..schedule.clone() }).await
}

/// Adds a schedule, or puts other settings in force.
///
/// # Errors
/// If its times cannot be, somebody else changed it meanwhile, or the store fails.
pub async fn put(store: &dyn Store, name: &Name, schedule: &Schedule) -> Result<u64> {
    schedule.calendar()?;
    let number = numbers(store).await?.get(name).copied().unwrap_or(0) + 1;
    let key = keys::schedule(name, number);
    let bytes = serde_json::to_vec_pretty(schedule).map_err(|e| Error::damaged(&key, e))?;
    // What could not be read again would stop the schedule for good.
    serde_json::from_slice::<Schedule>(&bytes).map_err(|e| Error::damaged(&key, e))?;
    match store.put_new(&key, bytes.into()).await? {
        Put::Created => Ok(number),
        Put::Exists => Err(Error::Schedule(format!(
            "'{name}' was changed by someone else meanwhile: look again"
        ))),
    }
}
