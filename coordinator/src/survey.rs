//! How far a data set is under a spec: every planned shard, and what came of it.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use voxage_contract::{Group, Name, SealedShard, ShardId, SpecId, keys};
use voxage_shards::{Columns, Footer, Shard};
use voxage_transport::{ObjectMeta, Store};

use crate::register::Register;
use crate::{Error, Result, plan};

/// Footers read at a time.
const READERS: usize = 16;

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

/// Surveys a data set.
pub(crate) async fn survey(
    store: &dyn Store,
    dataset: &Name,
    spec: &SpecId,
    seen: &mut Seen,
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
    let looks = groups.into_iter().map(|((batch, plan), id, recordings, replaced)| {
        let recordings = recordings - replaced.len() as u64;
        let known = seen.get(&id).filter(|known| known.replaced == replaced).cloned();
        let object = objects.get(&id);
        async move {
            let made = match (known, object) {
                (Some(known), _) => Some(known),
                (None, None) => None,
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
    let (footer, gone_rejects) = if replaced.is_empty() {
        (footer(store, object).await?, 0)
    } else {
        rejects_among(store, &object.key, &replaced).await?
    };
    Ok(SealedShard {
        id,
        bytes: object.size,
        digest: footer.digest,
        rows: footer.rows + gone_rejects - replaced.len() as u64,
        rejects: footer.rejects - gone_rejects,
        replaced,
    })
}

/// A shard's footer, and how many of its replaced rows are rejects.
async fn rejects_among(store: &dyn Store, key: &str, replaced: &[u32]) -> Result<(Footer, u64)> {
    let damaged = |error: voxage_shards::Error| Error::damaged(key, error);
    let shard = Shard::open(store.get(key).await?).map_err(damaged)?;
    let mut rejects = 0;
    for (i, row) in (0..).zip(shard.rows(Columns::Table).map_err(damaged)?) {
        let rejected = row.map_err(damaged)?.outcome.is_err();
        rejects += u64::from(rejected && replaced.contains(&i));
    }
    Ok((shard.footer().clone(), rejects))
}

/// A shard's footer, of the shard's end alone.
async fn footer(store: &dyn Store, object: &ObjectMeta) -> Result<Footer> {
    let key = &object.key;
    let mut tail_bytes = TAIL_BYTES.min(object.size);
    loop {
        let tail: Bytes = store.get_range(key, object.size - tail_bytes..object.size).await?;
        match Footer::from_tail(&tail, object.size).map_err(|e| Error::damaged(key, e))? {
            Ok(footer) => return Ok(footer),
            Err(needed) => tail_bytes = needed,
        }
    }
}
