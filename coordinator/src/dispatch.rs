//! Dispatch: a task for every planned shard that is not there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use voxage_contract::{Batch, FeatureSpec, Name, Plan, ShardId, Task};
use voxage_transport::{Queue, Store};

use crate::register::Register;
use crate::survey::shards;
use crate::{Result, plan, submit};

/// The queues of tasks: of what people submit, and of what schedules do. Workers take from
/// both alike.
pub const LANES: [&str; 2] = ["tasks", "tasks-scheduled"];

/// Tasks that await the queue's word at a time.
const PUBLISHERS: usize = 32;

/// The shards of a data set that are still to be made.
#[derive(Debug)]
pub struct Missing {
    dataset: Name,
    spec: FeatureSpec,
    shards: HashMap<ShardId, Planned>,
}

/// Where a shard's recordings are listed.
#[derive(Debug, Clone, Copy)]
struct Planned {
    plan: u64,
    recordings: u64,
}

impl Missing {
    /// Finds every planned shard that is not there, of batches that are not cancelled.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(store: &dyn Store, dataset: &Name, spec: &FeatureSpec) -> Result<Self> {
        let mut missing =
            Self { dataset: dataset.clone(), spec: spec.clone(), shards: HashMap::new() };
        let cancelled = Register::read(store, dataset).await?.cancelled();
        for number in plan::numbers(store, dataset).await? {
            let plan = plan::read(store, dataset, number).await?;
            if !cancelled.contains(&plan.batch) {
                missing.add(number, &plan);
            }
        }
        missing.look(store).await?;
        Ok(missing)
    }

    fn add(&mut self, number: u64, plan: &Plan) {
        let spec = self.spec.id();
        self.shards.extend(plan.groups.iter().map(|group| {
            let recordings = group.recordings.len() as u64;
            (group.shard_id(&plan.audio_root, &spec), Planned { plan: number, recordings })
        }));
    }

    /// Strikes off what is there by now; gives how many shards that were.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn look(&mut self, store: &dyn Store) -> Result<usize> {
        let there = shards(store, &self.dataset, &self.spec.id()).await?;
        let before = self.shards.len();
        self.shards.retain(|id, _| !there.contains_key(id));
        Ok(before - self.shards.len())
    }

    /// Shards that are missing.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Whether `which` says yes to any of them.
    pub fn any(&self, which: impl FnMut(&ShardId) -> bool) -> bool {
        self.shards.keys().any(which)
    }

    /// Recordings of the missing shards.
    #[must_use]
    pub fn recordings(&self) -> u64 {
        self.shards.values().map(|planned| planned.recordings).sum()
    }

    /// Publishes a task for every missing shard that `wanted` says yes to, in the queue for its
    /// batch.
    ///
    /// # Errors
    /// If the store or the queue fails; what was published until then stays published,
    /// which is harmless.
    pub async fn publish<'q>(
        &self,
        store: &dyn Store,
        queue: impl Fn(&Batch) -> &'q dyn Queue,
        wanted: impl Fn(&ShardId) -> bool,
    ) -> Result<()> {
        let mut plans: BTreeMap<u64, BTreeSet<&ShardId>> = BTreeMap::new();
        for (id, planned) in self.shards.iter().filter(|(id, _)| wanted(id)) {
            plans.entry(planned.plan).or_default().insert(id);
        }
        let (spec, mut batch) = (self.spec.id(), None);
        for (number, ids) in plans {
            let mut plan = plan::read(store, &self.dataset, number).await?;
            plan.groups.retain(|group| ids.contains(&group.shard_id(&plan.audio_root, &spec)));
            // Plans of a batch follow each other.
            let batch = match &mut batch {
                Some((number, batch)) if *number == plan.batch => batch,
                other => {
                    let read = submit::read(store, &self.dataset, plan.batch).await?;
                    &mut other.insert((plan.batch, read)).1
                }
            };
            publish(queue(batch), &self.dataset, &self.spec, plan).await?;
        }
        Ok(())
    }
}

/// Publishes a task for each group of a plan.
pub(crate) async fn publish(
    queue: &dyn Queue,
    dataset: &Name,
    spec: &FeatureSpec,
    plan: Plan,
) -> Result<()> {
    let Plan { batch, audio_root, groups, .. } = plan;
    let publish = |group| {
        let task = Task::new(dataset.as_str(), batch, spec, &audio_root, group);
        queue.publish(task.encode_to_vec().into())
    };
    let publishing: Vec<_> = groups.into_iter().map(publish).collect();
    Ok(stream::iter(publishing).buffer_unordered(PUBLISHERS).try_collect().await?)
}
