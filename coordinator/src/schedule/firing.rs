//! One firing of a schedule: its claim, what its stages came to, and its end.
//!
//! Always holds: what is written down is never changed, so that whoever comes next goes on
//! where the last one was.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use voxage_contract::{Name, keys};
use voxage_transport::{Store, StoreExt as _};

use super::calendar::Instant;
use super::stages::{Asked, Sealed, TakenIn, Trained};
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
    /// The training that was asked for since the last retry.
    pub asked: Option<Entry<Asked>>,
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

/// The names of a firing's objects.
pub(super) type Objects = BTreeSet<String>;

/// When the firings of a schedule are due, oldest first, and what there is of each.
pub(super) async fn dues(store: &dyn Store, name: &Name) -> Result<BTreeMap<Instant, Objects>> {
    let mut dues = BTreeMap::<_, Objects>::new();
    for key in store.keys(&keys::fires(name)).await? {
        if let Some((due, object)) = keys::fire_of(&key, name)
            && let Ok(due) = due.parse()
        {
            dues.entry(due).or_default().insert(object.to_owned());
        }
    }
    Ok(dues)
}

/// The firings of a schedule, oldest first.
///
/// # Errors
/// If the store fails or an object is damaged.
pub async fn firings(store: &dyn Store, name: &Name) -> Result<Vec<Firing>> {
    read_all(store, name, &dues(store, name).await?).await
}

/// The newest firing of a schedule, the newest that has taken in, and those that have not
/// ended, oldest first: few, however many nights there were.
///
/// # Errors
/// If the store fails or an object is damaged.
pub async fn recent(store: &dyn Store, name: &Name) -> Result<Vec<Firing>> {
    let mut dues = dues(store, name).await?;
    let newest = dues.keys().next_back().copied();
    let fed = dues.iter().rfind(|(_, objects)| objects.contains("taken-in"));
    let kept = [newest, fed.map(|(due, _)| *due)];
    dues.retain(|due, objects| !objects.contains("end") || kept.contains(&Some(*due)));
    read_all(store, name, &dues).await
}

async fn read_all(
    store: &dyn Store,
    name: &Name,
    dues: &BTreeMap<Instant, Objects>,
) -> Result<Vec<Firing>> {
    let mut all = Vec::new();
    for (due, objects) in dues {
        all.push(firing(store, name, *due, objects).await?);
    }
    Ok(all)
}

/// One firing, of which there are these objects.
pub(super) async fn firing(
    store: &dyn Store,
    name: &Name,
    due: Instant,
    objects: &Objects,
) -> Result<Firing> {
    let seen = Seen { store, name, due, objects };
    let counted = |what: &str| objects.iter().filter(|one| one.starts_with(what)).count();
    let retries = counted("retry-") as u64;
    let mut failures = Vec::new();
    for number in 1..=counted("failed-") {
        failures.extend(seen.read(&format!("failed-{number:04}")).await?);
    }
    let claim = seen.read("claim").await?;
    Ok(Firing {
        schedule: name.clone(),
        due,
        claim: claim.ok_or_else(|| Error::damaged(&seen.key("claim"), "it is gone"))?,
        taken_in: seen.read("taken-in").await?,
        sealed: seen.read("sealed").await?,
        asked: seen.read(&asked_object(retries)).await?,
        trained: seen.read("trained").await?,
        decided: seen.read("decided").await?,
        failures,
        retries,
        end: seen.read("end").await?,
    })
}

/// The object of the training that was asked for after so many retries.
pub(super) fn asked_object(retries: u64) -> String {
    format!("asked-{retries:04}")
}

/// What was seen of a firing.
struct Seen<'a> {
    store: &'a dyn Store,
    name: &'a Name,
    due: Instant,
    objects: &'a Objects,
}

impl Seen<'_> {
    fn key(&self, object: &str) -> String {
        keys::fire(self.name, &self.due.to_string(), object)
    }

    /// An object, if it was seen.
    async fn read<T: DeserializeOwned>(&self, object: &str) -> Result<Option<T>> {
        if self.objects.contains(object) {
            return read(self.store, &self.key(object)).await;
        }
        Ok(None)
    }
}

/// A JSON object of the store, or none.
pub(super) async fn read<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>> {
    let bytes = store.get_opt(key).await?;
    let parse = |bytes: bytes::Bytes| serde_json::from_slice(&bytes);
    bytes.map(parse).transpose().map_err(|error| Error::damaged(key, error))
}
