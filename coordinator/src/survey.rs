//! How far a data set is under a spec: every planned shard, and what came of it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use voxage_contract::{Group, Name, SealedShard, SpecId, keys};
use voxage_shards::{Columns, Footer, Shard};
use voxage_transport::{ObjectMeta, Store};

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
    /// Every planned shard, in the order of the plans.
    pub shards: Vec<Planned>,
}

/// A planned shard.
#[derive(Debug)]
pub(crate) struct Planned {
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

    pub(crate) fn left(&self) -> u64 {
        let left = self.shards.iter().filter(|shard| shard.made.is_none());
        left.map(|shard| shard.recordings).sum()
    }
}

/// Surveys a data set.
pub(crate) async fn survey(store: &dyn Store, dataset: &Name, spec: &SpecId) -> Result<Survey> {
    let objects = shards(store, dataset, spec).await?;
    let mut survey = Survey::default();
    let mut groups = Vec::new();
    // From the newest plan down: what it replaces no longer counts further down.
    let mut replaced = HashSet::new();
    for number in plan::numbers(store, dataset).await?.into_iter().rev() {
        let plan = plan::read(store, dataset, number).await?;
        survey.plans = survey.plans.max(number);
        groups.extend(plan.groups.iter().rev().map(|group| {
            let id = group.shard_id(&plan.audio_root, spec);
            let recordings = group.recordings.len() as u64;
            (keys::shard(dataset, spec, &id), id, recordings, gone(group, &replaced))
        }));
        replaced.extend(plan.replaced);
    }
    groups.reverse();
    let looks = groups.into_iter().map(|(key, id, recordings, replaced)| {
        let object = objects.get(&key);
        async move {
            let recordings = recordings - replaced.len() as u64;
            let made = match object {
                None => None,
                Some(object) => {
                    let (footer, gone_rejects) = look(store, object, &replaced).await?;
                    Some(SealedShard {
                        id,
                        bytes: object.size,
                        digest: footer.digest,
                        rows: footer.rows + gone_rejects - replaced.len() as u64,
                        rejects: footer.rejects - gone_rejects,
                        replaced,
                    })
                }
            };
            Ok::<_, Error>(Planned { recordings, made })
        }
    });
    survey.shards = stream::iter(looks).buffered(READERS).try_collect().await?;
    Ok(survey)
}

/// The shards that are there, by key.
pub(crate) async fn shards(
    store: &dyn Store,
    dataset: &Name,
    spec: &SpecId,
) -> Result<HashMap<String, ObjectMeta>> {
    let listing = store.list(&keys::shards(dataset, spec), None);
    Ok(listing.map_ok(|object| (object.key.clone(), object)).try_collect().await?)
}

/// Positions of the recordings of a group that were submitted again later.
fn gone(group: &Group, replaced: &HashSet<String>) -> Vec<u32> {
    let recordings = (0..).zip(&group.recordings);
    recordings.filter(|(_, recording)| replaced.contains(&recording.id)).map(|(i, _)| i).collect()
}

/// A shard's footer, and how many of its replaced rows are rejects.
async fn look(store: &dyn Store, object: &ObjectMeta, replaced: &[u32]) -> Result<(Footer, u64)> {
    let key = &object.key;
    let damaged = |error: voxage_shards::Error| Error::damaged(key, error);
    if !replaced.is_empty() {
        let shard = Shard::open(store.get(key).await?).map_err(damaged)?;
        let mut rejects = 0;
        for (i, row) in (0..).zip(shard.rows(Columns::Table).map_err(damaged)?) {
            let rejected = row.map_err(damaged)?.outcome.is_err();
            rejects += u64::from(rejected && replaced.contains(&i));
        }
        return Ok((shard.footer().clone(), rejects));
    }
    let mut tail_bytes = TAIL_BYTES.min(object.size);
    loop {
        let tail: Bytes = store.get_range(key, object.size - tail_bytes..object.size).await?;
        match Footer::from_tail(&tail, object.size).map_err(damaged)? {
            Ok(footer) => return Ok((footer, 0)),
            Err(needed) => tail_bytes = needed,
        }
    }
}
