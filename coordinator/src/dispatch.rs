//! Dispatch: a task for every planned shard that is not there.

use std::collections::HashSet;
use std::time::Duration;

use prost::Message as _;
use voxage_contract::{FeatureSpec, Name, Task, keys};
use voxage_transport::{Queue, Store};

use crate::survey::{shards, survey};
use crate::{Result, plan};

/// Between two looks at the store.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Publishes a task for every shard that is missing, and gives the keys of these shards.
///
/// # Errors
/// If the store or the queue fails; tasks published until then stay published, which is harmless.
pub async fn dispatch(
    store: &dyn Store,
    queue: &dyn Queue,
    dataset: &Name,
    spec: &FeatureSpec,
) -> Result<HashSet<String>> {
    let spec_id = spec.id();
    let there = shards(store, dataset, &spec_id).await?;
    let mut missing = HashSet::new();
    for number in plan::numbers(store, dataset).await? {
        let plan = plan::read(store, dataset, number).await?;
        for group in plan.groups {
            let id = group.shard_id(&plan.audio_root, &spec_id);
            let key = keys::shard(dataset, &spec_id, &id);
            if !there.contains_key(&key) && missing.insert(key) {
                let task = Task::new(dataset.as_str(), spec, &plan.audio_root, group);
                queue.publish(task.encode_to_vec().into()).await?;
            }
        }
    }
    Ok(missing)
}

/// Recordings of a data set whose shards are missing.
///
/// # Errors
/// If the store fails.
pub async fn left(store: &dyn Store, dataset: &Name, spec: &FeatureSpec) -> Result<u64> {
    Ok(survey(store, dataset, &spec.id()).await?.left())
}

/// Waits until all `missing` shards are there.
///
/// # Errors
/// If the store fails.
pub async fn arrived(
    store: &dyn Store,
    dataset: &Name,
    spec: &FeatureSpec,
    mut missing: HashSet<String>,
) -> Result<()> {
    while !missing.is_empty() {
        tokio::time::sleep(LOOK_EVERY).await;
        let there = shards(store, dataset, &spec.id()).await?;
        missing.retain(|key| !there.contains_key(key));
    }
    Ok(())
}
