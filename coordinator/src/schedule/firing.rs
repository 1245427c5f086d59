//! One firing of a schedule: its claim, what its stages came to, and its end.
//!
//! Always holds: what is written down is never changed, so that whoever comes next goes on
//! where the last one was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use voxage_contract::{Name, keys};
use voxage_transport::{Store, StoreExt as _};

use super::calendar::Instant;
use super::stages::{Sealed, TakenIn, Trained};
use crate::registry::Decision;
use crate::{Error, Result};

/// A firing that is claimed later than this, in seconds, was missed.
pub const LATE_S: i64 = 600;

/// Who has taken a firing up, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// When that was.
    pub at: Instant,
    /// The process.
    pub by: String,
    /// The number of the schedule's settings that it goes by.
    pub settings: u64,
    /// Whether somebody asked for it, beside the times.
    pub asked: bool,
    /// Firings before it that nobody was there for.
    pub missed: u64,
    /// Why it is left out, if it is.
    pub skipped: Option<String>,
}

/// What failed, for good: a person must look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: Instant,
    /// Which stage.
    pub stage: String,
    /// Why.
    pub why: String,
}

/// How a firing ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Instant,
    /// How.
    pub outcome: Outcome,
    /// In words.
    pub words: String,
}

/// How a firing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Its model is the champion.
    Promoted,
    /// Its model is not.
    Refused,
    /// There was nothing new to learn from.
    Unchanged,
    /// It was left out, as the schedule says.
    Skipped,
    /// The schedule was paused or removed.
    Withdrawn,
}

/// What a stage came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry<T> {
    /// When it was done.
    pub at: Instant,
    /// What it came to.
    pub done: T,
}

/// A firing with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Firing {
    /// The schedule.
    pub schedule: Name,
    /// When it was due.
    pub due: Instant,
    /// Who took it up.
    pub claim: Claim,
    /// Manifests that were taken in.
    pub taken_in: Option<Entry<TakenIn>>,
    /// The version of the data set.
    pub sealed: Option<Entry<Sealed>>,
    /// The version of the model.
    pub trained: Option<Entry<Trained>>,
    /// What the gate said of it.
    pub decided: Option<Entry<Decision>>,
    /// What failed, in order.
    pub failures: Vec<Failure>,
    /// How often it was to be tried again.
    pub retries: u64,
    /// Its end.
    pub end: Option<End>,
}

impl Firing {
    /// Whether it failed and waits for someone to say `retry`.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failures.len() as u64 > self.retries
    }

    /// The name of the stage that comes next.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match (&self.taken_in, &self.sealed, &self.trained, &self.decided) {
            (None, ..) => "taken-in",
            (_, None, ..) => "sealed",
            (_, _, None, _) => "trained",
            (.., None) => "decided",
            _ => "end",
        }
    }
}

/// When the firings of a schedule are due, oldest first, and whether each has ended.
pub(super) async fn dues(store: &dyn Store, name: &Name) -> Result<BTreeMap<Instant, bool>> {
    let mut dues = BTreeMap::new();
    for key in store.keys(&keys::fires(name)).await? {
        if let Some((due, object)) = keys::fire_of(&key, name)
            && let Ok(due) = due.parse()
        {
            *dues.entry(due).or_insert(false) |= object == "end";
        }
    }
    Ok(dues)
}

/// The firings of a schedule, oldest first.
///
/// # Errors
/// If the store fails or an object is damaged.
pub async fn firings(store: &dyn Store, name: &Name) -> Result<Vec<Firing>> {
    let mut all = Vec::new();
    for due in dues(store, name).await?.into_keys() {
        all.push(firing(store, name, due).await?);
    }
    Ok(all)
}

/// One firing.
pub(super) async fn firing(store: &dyn Store, name: &Name, due: Instant) -> Result<Firing> {
    let at = |object: &str| keys::fire(name, &due.to_string(), object);
    let mut failures = Vec::new();
    while let Some(failure) = read(store, &at(&format!("failed-{:04}", failures.len() + 1))).await?
    {
        failures.push(failure);
    }
    let mut retries = 0;
    while store.exists(&at(&format!("retry-{:04}", retries + 1))).await? {
        retries += 1;
    }
    let claim = at("claim");
    Ok(Firing {
        schedule: name.clone(),
        due,
        claim: read(store, &claim).await?.ok_or_else(|| Error::damaged(&claim, "it is gone"))?,
        taken_in: read(store, &at("taken-in")).await?,
        sealed: read(store, &at("sealed")).await?,
        trained: read(store, &at("trained")).await?,
        decided: read(store, &at("decided")).await?,
        failures,
        retries,
        end: read(store, &at("end")).await?,
    })
}

/// A JSON object of the store, or none.
pub(super) async fn read<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>> {
    let bytes = store.get_opt(key).await?;
    let parse = |bytes: bytes::Bytes| serde_json::from_slice(&bytes);
    bytes.map(parse).transpose().map_err(|error| Error::damaged(key, error))
}
