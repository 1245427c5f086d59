//! How far a data set is under a spec: every planned shard, and what came of it.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use voxage_contract::{Group, Name, SealedShard, ShardId, SpecId, keys};
use voxage_shards::{Columns, Shard};
use voxage_transport::{ObjectMeta, Store};

use crate::register::Register;
use crate::{Error, Result, plan};

/// Shards that are looked at at a time.
pub(crate) const READERS: usize = 16;

/// Enough for the footer of nearly every shard.
const TAIL_BYTES: u64 = 64 << 10;

/// A data set under a spec.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The number of the last plan; 0 if there is none.
    pub plans: u64,
    /// The batches that do not count.
    pub cancelled: BTreeSet<u64>,
    /// Every planned shard, in the order of the plans.
    pub shards: Vec<Planned>,
}

/// A planned shard.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Its name.
    pub id: ShardId,
    /// The batch that it is of.
    pub batch: u64,
    /// The plan that names it.
    pub plan: u64,
    /// Its recordings that count.
    pub recordings: u64,
    /// What is there; none if it is still to be made.
    pub made: Option<SealedShard>,
}

impl Survey {
    pub(crate) fn submitted(&self) -> u64 {
        self.shards.iter().map(|shard| shard.recordings).sum()
    }

    pub(crate) fn made(&self) -> impl Iterator<Item = &SealedShard> {
        self.shards.iter().filter_map(|shard| shard.made.as_ref())
    }

    pub(crate) fn missing(&self) -> impl Iterator<Item = &Planned> {
        self.shards.iter().filter(|shard| shard.made.is_none())
    }

    pub(crate) fn left(&self) -> u64 {
        self.missing().map(|shard| shard.recordings).sum()
    }
}

/// What earlier surveys saw of shards: they never change, so each is looked at once.
pub(crate) type Seen = HashMap<ShardId, SealedShard>;

/// Surveys a data set; with `done`, one that is done: until then, no shard is looked at.
///
/// # Errors
/// If the store fails, or `done` is asked for and it is not.
pub(crate) async fn survey(
    store: &dyn Store,
    dataset: &Name,
    spec: &SpecId,
    seen: &mut Seen,
    done: bool,
) -> Result<Survey> {
    let cancelled = Register::read(store, dataset).await?.cancelled();
    let mut survey = Survey { cancelled, ..Survey::default() };
    let objects = shards(store, dataset, spec).await?;
    let mut groups = Vec::new();
    // From the newest plan down: what it replaces no longer counts further down.
    let mut replaced = HashSet::new();
    for number in plan::numbers(store, dataset).await?.into_iter().rev() {
        let plan = plan::read(store, dataset, number).await?;
        survey.plans = survey.plans.max(number);
        if survey.cancelled.contains(&plan.batch) {
            continue;
        }
        groups.extend(plan.groups.iter().rev().map(|group| {
            let id = group.shard_id(&plan.audio_root, spec);
            ((plan.batch, number), id, group.recordings.len() as u64, gone(group, &replaced))
        }));
        replaced.extend(plan.replaced);
    }
    groups.reverse();
    let missing = groups.iter().filter(|(_, id, ..)| !objects.contains_key(id));
    let left = missing.map(|(_, _, all, replaced)| all - replaced.len() as u64).sum();
    if done && left > 0 {
        return Err(Error::Incomplete { dataset: dataset.to_string(), left });
    }
    let looks = groups.into_iter().map(|((batch, plan), id, recordings, replaced)| {
        let recordings = recordings - replaced.len() as u64;
        let known = seen.get(&id).filter(|known| known.replaced == replaced).cloned();
        let object = objects.get(&id);
        async move {
            let made = match (known, object) {
                (_, None) => None,
                (Some(known), Some(_)) => Some(known),
                (None, Some(object)) => Some(look(store, object, id.clone(), replaced).await?),
            };
            Ok::<_, Error>(Planned { id, batch, plan, recordings, made })
        }
    });
    let looks: Vec<_> = looks.collect();
    survey.shards = stream::iter(looks).buffered(READERS).try_collect().await?;
    seen.extend(survey.made().map(|shard| (shard.id.clone(), shard.clone())));
    Ok(survey)
}

/// The shards that are there.
pub(crate) async fn shards(
    store: &dyn Store,
    dataset: &Name,
    spec: &SpecId,
) -> Result<HashMap<ShardId, ObjectMeta>> {
    let mut listing = store.list(&keys::shards(dataset, spec), None);
    let mut shards = HashMap::new();
    while let Some(object) = listing.try_next().await? {
        if let Some((_, id)) = keys::shard_of(&object.key, dataset) {
            shards.insert(id, object);
        }
    }
    Ok(shards)
}

/// Positions of the recordings of a group that were submitted again later.
fn gone(group: &Group, replaced: &HashSet<String>) -> Vec<u32> {
    let recordings = (0..).zip(&group.recordings);
    recordings.filter(|(_, recording)| replaced.contains(&recording.id)).map(|(i, _)| i).collect()
}

/// What is in a shard.
async fn look(
    store: &dyn Store,
    object: &ObjectMeta,
    id: ShardId,
    replaced: Vec<u32>,
) -> Result<SealedShard> {
    let (key, size) = (&object.key, object.size);
    let (footer, gone_rejects) = if replaced.is_empty() {
        (tail(store, key, size).await?.1.footer().clone(), 0)
    } else {
        let shard = table(store, key, size).await?;
        let rejects = rejects_among(&shard, &replaced).map_err(|e| Error::damaged(key, e))?;
        (shard.footer().clone(), rejects)
    };
    Ok(SealedShard {
        id,
        bytes: size,
        digest: footer.digest,
        rows: footer.rows + gone_rejects - replaced.len() as u64,
        rejects: footer.rejects - gone_rejects,
        replaced,
    })
}

/// How many of a shard's replaced rows are rejects.
fn rejects_among(shard: &Shard, replaced: &[u32]) -> voxage_shards::Result<u64> {
    let mut rejects = 0;
    for (i, row) in (0..).zip(shard.rows(Columns::Table)?) {
        rejects += u64::from(row?.outcome.is_err() && replaced.contains(&i));
    }
    Ok(rejects)
}

/// A shard of `size` bytes with its table at hand, of as few of its bytes as need be.
pub(crate) async fn table(store: &dyn Store, key: &str, size: u64) -> Result<Shard> {
    let (tail, shard) = tail(store, key, size).await?;
    let at_hand = size - tail.len() as u64;
    let mut parts = vec![(at_hand, tail)];
    for range in shard.table_ranges().into_iter().filter(|range| range.start < at_hand) {
        parts.push((range.start, store.get_range(key, range).await?));
    }
    Ok(shard.with_parts(parts))
}

/// A shard of which only the footer is at hand, with the end that it was read from.
async fn tail(store: &dyn Store, key: &str, size: u64) -> Result<(Bytes, Shard)> {
    let mut tail_bytes = TAIL_BYTES.min(size);
    loop {
        let tail: Bytes = store.get_range(key, size - tail_bytes..size).await?;
        match Shard::open_tail(&tail, size).map_err(|e| Error::damaged(key, e))? {
            Ok(shard) => return Ok((tail, shard)),
            Err(needed) if needed > tail_bytes && needed <= size => tail_bytes = needed,
            Err(_) => return Err(Error::damaged(key, "its footer is cut off")),
        }
    }
}
