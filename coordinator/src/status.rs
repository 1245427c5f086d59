//! What is done, failed and left, told by the store alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use voxage_contract::{Name, ShardId, SpecId};
use voxage_transport::Store;

use crate::register::{Register, datasets};
use crate::seal::newest;
use crate::survey::{Seen, Survey, survey};
use crate::{Error, Result, submit};

/// A data set under the spec of its newest batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The data set.
    pub name: Name,
    /// The spec's id.
    pub spec: SpecId,
    /// Recordings planned.
    pub submitted: u64,
    /// Recordings with features.
    pub rows: u64,
    /// Recordings that failed, each with its reason.
    pub rejects: u64,
    /// Recordings still to be done.
    pub left: u64,
    /// Whether the newest sealed manifest has everything that was submitted.
    pub sealed: bool,
    /// The key of the newest sealed manifest.
    pub manifest: Option<String>,
    /// Its batches, oldest first.
    pub batches: Vec<BatchStatus>,
}

/// One batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchStatus {
    /// Its number.
    pub number: u64,
    /// How far it is.
    pub state: State,
    /// Recordings of its manifest.
    pub recordings: u64,
    /// Those that were new or changed, and that no later batch changed again.
    pub counting: u64,
    /// Those among them whose shard is still to be made.
    pub left: u64,
    /// Whether the newest sealed manifest has all of them.
    pub sealed: bool,
}

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for a coordinator.
    Submitted,
    /// Its features are being made.
    Running,
    /// Nothing of it is left.
    Done,
    /// It was withdrawn.
    Cancelled,
}

/// Looks at data sets again and again, reading what changed.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Seen,
    /// Recordings of the shards that the last look found missing.
    missing: HashMap<ShardId, u64>,
}

impl Watch {
    /// A data set as it is now; none if nothing was submitted to it.
    ///
    /// # Errors
    /// If the store fails or an object of it is damaged.
    pub async fn look(&mut self, store: &dyn Store, name: &Name) -> Result<Option<Status>> {
        let register = Register::read(store, name).await?;
        if register.last() == 0 {
            return Ok(None);
        }
        let newest_batch = register.newest().unwrap_or(register.last());
        let spec = submit::read(store, name, newest_batch).await?.spec.id();
        let survey = survey(store, name, &spec, &mut self.seen, false).await?;
        self.missing = survey.missing().map(|shard| (shard.id.clone(), shard.recordings)).collect();
        let sealed = newest(store, name, &spec).await?.sealed;
        let whole = sealed.as_ref().is_some_and(|(_, sealed)| {
            sealed.plans == survey.plans && survey.cancelled.iter().eq(&sealed.cancelled)
        });
        let sealed_plans = sealed.as_ref().map_or(0, |(_, sealed)| sealed.plans);
        Ok(Some(Status {
            submitted: survey.submitted(),
            rows: survey.made().map(|shard| shard.rows).sum(),
            rejects: survey.made().map(|shard| shard.rejects).sum(),
            left: survey.left(),
            sealed: whole && register.next_unplanned().is_none(),
            manifest: sealed.map(|(key, _)| key),
            batches: batches(store, name, &register, (&survey, sealed_plans)).await?,
            name: name.clone(),
            spec,
        }))
    }
}

impl Watch {
    /// What the looks so far saw of shards.
    pub(crate) fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    /// Recordings of those among some shards that the last look found missing.
    #[must_use]
    pub fn recordings_of(&self, shards: &HashSet<String>) -> u64 {
        let held = self.missing.iter().filter(|(id, _)| shards.contains(id.as_str()));
        held.map(|(_, recordings)| recordings).sum()
    }
}

/// Every data set of a store; beside them those of which nothing can be said, with why.
///
/// # Errors
/// If the store fails.
pub async fn status(store: &dyn Store) -> Result<(Vec<Status>, BTreeMap<Name, String>)> {
    let (mut statuses, mut damaged, mut watch) = (Vec::new(), BTreeMap::new(), Watch::default());
    for name in datasets(store).await? {
        match watch.look(store, &name).await {
            Ok(status) => statuses.extend(status),
            Err(Error::Damaged { key, why }) => {
                damaged.insert(name, format!("{key}: {why}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((statuses, damaged))
}

async fn batches(
    store: &dyn Store,
    name: &Name,
    register: &Register,
    (survey, sealed_plans): (&Survey, u64),
) -> Result<Vec<BatchStatus>> {
    let mut counts: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
    for shard in &survey.shards {
        let (counting, left, plan) = counts.entry(shard.batch).or_default();
        *counting += shard.recordings;
        *left += if shard.made.is_none() { shard.recordings } else { 0 };
        *plan = shard.plan.max(*plan);
    }
    let (mut batches, mut left_so_far) = (Vec::new(), 0);
    for number in register.numbers() {
        let (counting, left, plan) = counts.get(&number).copied().unwrap_or_default();
        left_so_far += left;
        let state = match () {
            () if survey.cancelled.contains(&number) => State::Cancelled,
            () if !register.is_planned(number) => State::Submitted,
            // Its recordings may be those of batches before it.
            () if left_so_far > 0 => State::Running,
            () => State::Done,
        };
        let recordings = submit::read(store, name, number).await?.recordings;
        let sealed = state == State::Done && plan <= sealed_plans;
        batches.push(BatchStatus { number, state, recordings, counting, left, sealed });
    }
    Ok(batches)
}
