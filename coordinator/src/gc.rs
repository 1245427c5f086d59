//! What may go: objects that nothing reaches any more.
//!
//! Always holds: what a sealed manifest, a model, a standing batch, or a run that has not
//! ended refers to is never among it, nor is anything younger than the grace period: a
//! process may be about to refer to it. Memory is 32 bytes a shard.

use std::collections::{BTreeSet, HashSet};

use futures::TryStreamExt as _;
use serde::Serialize;
use voxage_contract::{Name, SealedManifest, ShardId, SpecId, keys};
use voxage_transport::{Store, StoreExt as _};

use crate::register::{Register, datasets};
use crate::{Result, plan, submit};

/// Something that nothing reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Garbage {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Why it is of no use.
    pub why: &'static str,
}

/// Finds what nothing reaches and was last changed before `before`, in seconds since 1970.
///
/// # Errors
/// If the store fails, or an object that may refer to others is damaged: then nothing can be
/// said.
pub async fn garbage(store: &dyn Store, before: i64) -> Result<Vec<Garbage>> {
    let mut all = Vec::new();
    for dataset in datasets(store).await? {
        shards(store, &dataset, before, &mut all).await?;
        parts(store, &dataset, before, &mut all).await?;
    }
    runs(store, before, &mut all).await?;
    Ok(all)
}

/// Shards that are neither in a sealed manifest nor still to be sealed.
async fn shards(
    store: &dyn Store,
    dataset: &Name,
    before: i64,
    all: &mut Vec<Garbage>,
) -> Result<()> {
    let mut reached: HashSet<(SpecId, ShardId)> = HashSet::new();
    for key in store.keys(&keys::manifests(dataset)).await? {
        let sealed: SealedManifest = crate::study::read(store, &key).await?;
        reached.extend(sealed.shards.into_iter().map(|shard| (sealed.spec_id.clone(), shard.id)));
    }
    let register = Register::read(store, dataset).await?;
    if let Some(newest) = register.newest() {
        let spec = submit::read(store, dataset, newest).await?.spec.id();
        let cancelled = register.cancelled();
        for number in plan::numbers(store, dataset).await? {
            let plan = plan::read(store, dataset, number).await?;
            if !cancelled.contains(&plan.batch) {
                let ids = plan.groups.iter().map(|group| group.shard_id(&plan.audio_root, &spec));
                reached.extend(ids.map(|id| (spec.clone(), id)));
            }
        }
    }
    let mut listing = store.list(&keys::all_shards(dataset), None);
    while let Some(object) = listing.try_next().await? {
        let Some(shard) = keys::shard_of(&object.key, dataset) else { continue };
        if !reached.contains(&shard) && object.changed_unix_s < before {
            let why = "no sealed version and no standing batch has it";
            all.push(Garbage { key: object.key, bytes: object.size, why });
        }
    }
    Ok(())
}

/// Parts that no batch has: of submissions that were cut off.
async fn parts(
    store: &dyn Store,
    dataset: &Name,
    before: i64,
    all: &mut Vec<Garbage>,
) -> Result<()> {
    let mut reached = HashSet::new();
    for number in Register::read(store, dataset).await?.numbers() {
        // A cancelled batch may be asked about.
        let batch = submit::read(store, dataset, number).await?;
        reached.extend(batch.parts.iter().map(|digest| keys::part(dataset, digest)));
    }
    let mut listing = store.list(&keys::parts(dataset), None);
    while let Some(object) = listing.try_next().await? {
        if !reached.contains(&object.key) && object.changed_unix_s < before {
            let why = "no batch has it: its submission was cut off";
            all.push(Garbage { key: object.key, bytes: object.size, why });
        }
    }
    Ok(())
}

/// What was only needed to go on with a run that has ended.
async fn runs(store: &dyn Store, before: i64, all: &mut Vec<Garbage>) -> Result<()> {
    let (mut ended, mut found) = (BTreeSet::new(), Vec::new());
    let mut listing = store.list(keys::RUNS, None);
    while let Some(object) = listing.try_next().await? {
        let Some(run) = keys::run_of(&object.key).map(str::to_owned) else { continue };
        if object.key == keys::run(&run, "result.json") {
            ended.insert(run.clone());
        }
        let of_the_way = [keys::checkpoints(&run), keys::run_lease(&run)];
        if of_the_way.iter().any(|folder| object.key.starts_with(folder))
            && object.changed_unix_s < before
        {
            found.push((run, object));
        }
    }
    all.extend(found.into_iter().filter(|(run, _)| ended.contains(run)).map(|(_, object)| {
        Garbage { key: object.key, bytes: object.size, why: "its run has ended" }
    }));
    Ok(())
}
