//! Every recording of a data set that failed, with the reason.

use std::collections::{BTreeMap, HashMap};

use tokio::task::spawn_blocking;
use voxage_contract::{Name, Recording, Reject, SealedShard, ShardId, SpecId, keys};
use voxage_shards::{Columns, Shard};
use voxage_transport::Store;

use crate::register::Register;
use crate::survey::{Seen, Survey, survey};
use crate::{Error, Result, submit};

/// Metadata of a recording that was uploaded: the path that its submitter knows it by.
pub const UPLOADED_FROM: &str = "uploaded_from";

/// Shards that are read for one page, at most.
const MOST_SHARDS: usize = 16;

/// What earlier looks found in the shards of data sets, by `stage/code`, and how many of
/// their rows did not count then.
pub(crate) type Counted = HashMap<(Name, ShardId), (usize, BTreeMap<String, u64>)>;

/// Some rejects of a data set.
#[derive(Debug, Default)]
pub struct Page {
    /// They.
    pub rejects: Vec<(Recording, Reject)>,
    /// How many there are of each `stage/code`, as far as shards were read.
    pub counts: BTreeMap<String, u64>,
    /// Rejects of shards that no look has read yet: another one goes on with them.
    pub uncounted: u64,
    /// Where the next page begins; none if this is the last.
    pub next: Option<String>,
}

/// Gives each reject that counts to `each`, sealed or not, under the newest batch's spec.
///
/// # Errors
/// If the data set has no batch, the store fails, or a shard is damaged.
pub async fn rejects(
    store: &dyn Store,
    dataset: &Name,
    mut each: impl FnMut(Recording, Reject),
) -> Result<()> {
    let (spec, survey) = surveyed(store, dataset, &mut Seen::new()).await?;
    for sealed in survey.made().filter(|shard| shard.rejects > 0) {
        let found = of_shard(store, dataset, &spec, sealed).await?;
        found.into_iter().for_each(|(recording, reject)| each(recording, reject));
    }
    Ok(())
}

/// At least so many rejects behind the shard `after`, of the code if one is asked for, unless
/// there are fewer or it takes many shards to find them.
pub(crate) async fn page(
    store: &dyn Store,
    dataset: &Name,
    (seen, counted): (&mut Seen, &mut Counted),
    (after, code, limit): (Option<&str>, Option<&str>, usize),
) -> Result<Page> {
    let (spec, survey) = surveyed(store, dataset, seen).await?;
    let shards: Vec<_> = survey.made().filter(|shard| shard.rejects > 0).collect();
    let begin = match after {
        // A cursor that names no shard any more is at the end.
        Some(after) => shards
            .iter()
            .position(|shard| shard.id.as_str() == after)
            .map_or(shards.len(), |place| place + 1),
        None => 0,
    };
    let place = |shard: &SealedShard| (dataset.clone(), shard.id.clone());
    let (mut page, mut read) = (Page::default(), 0);
    for shard in &shards[begin..] {
        let found = of_shard(store, dataset, &spec, shard).await?;
        counted.insert(place(shard), (shard.replaced.len(), counts(&found)));
        for (recording, reject) in found {
            if code.is_none_or(|code| code == reject.code) {
                page.rejects.push((recording, reject));
            }
        }
        read += 1;
        if page.rejects.len() >= limit || read == MOST_SHARDS {
            page.next = shards.get(begin + read).map(|_| shard.id.to_string());
            break;
        }
    }
    for shard in shards {
        let known = |counted: &Counted| {
            let (replaced, counts) = counted.get(&place(shard))?;
            (*replaced == shard.replaced.len()).then(|| counts.clone())
        };
        if known(counted).is_none() && read < MOST_SHARDS {
            let found = of_shard(store, dataset, &spec, shard).await?;
            counted.insert(place(shard), (shard.replaced.len(), counts(&found)));
            read += 1;
        }
        match known(counted) {
            Some(counts) => {
                for (reason, n) in counts {
                    *page.counts.entry(reason).or_default() += n;
                }
            }
            None => page.uncounted += shard.rejects,
        }
    }
    Ok(page)
}

fn counts(found: &[(Recording, Reject)]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (_, reject) in found {
        *counts.entry(format!("{}/{}", reject.stage, reject.code)).or_default() += 1;
    }
    counts
}

async fn surveyed(store: &dyn Store, dataset: &Name, seen: &mut Seen) -> Result<(SpecId, Survey)> {
    let newest = Register::read(store, dataset).await?.newest();
    let newest = newest.ok_or_else(|| Error::Empty(dataset.to_string()))?;
    let spec = submit::read(store, dataset, newest).await?.spec.id();
    let survey = survey(store, dataset, &spec, seen, false).await?;
    Ok((spec, survey))
}

/// The rejects of a shard, by the paths that people gave.
async fn of_shard(
    store: &dyn Store,
    dataset: &Name,
    spec: &SpecId,
    sealed: &SealedShard,
) -> Result<Vec<(Recording, Reject)>> {
    let key = keys::shard(dataset, spec, &sealed.id);
    let (bytes, replaced) = (store.get(&key).await?, sealed.replaced.clone());
    let found = spawn_blocking(move || {
        let mut found = Vec::new();
        for (i, row) in (0..).zip(Shard::open(bytes)?.rows(Columns::Table)?) {
            let mut row = row?;
            if let Err(reject) = row.outcome
                && !replaced.contains(&i)
            {
                if let Some(path) = row.recording.metadata.remove(UPLOADED_FROM) {
                    row.recording.path = path;
                }
                found.push((row.recording, reject));
            }
        }
        Ok::<_, voxage_shards::Error>(found)
    });
    found.await?.map_err(|error| Error::damaged(&key, error))
}
