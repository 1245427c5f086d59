//! Planning: what a batch has that the data set does not, written down as plans.
//!
//! Always holds: a plan is one object, created whole, by someone who has seen all plans
//! before it; planning that is cut off is taken up by planning again, because what is
//! planned already is subtracted. Memory is 16 bytes for each recording of the data set,
//! and one part.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{Batch, BatchId, Group, Name, Plan, Recording, ShardLimits, keys};
use voxage_transport::source::Sources;
use voxage_transport::{Put, Store, StoreExt as _};

use crate::check::hash;
use crate::register::Register;
use crate::{Error, Result, submit};

/// What planning a batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Recordings that the data set did not have.
    pub added: u64,
    /// Recordings that it had otherwise: the batch's take their place.
    pub replaced: u64,
}

/// What is planned: the hash of each id, with that of all that was submitted about it.
#[derive(Default)]
struct Planned(HashMap<u64, u64>);

impl Planned {
    /// With space for so many recordings.
    fn of(recordings: u64) -> Self {
        Self(HashMap::with_capacity(usize::try_from(recordings).unwrap_or(0)))
    }

    /// Learns what the next plan has.
    async fn add(mut self, plan: Plan) -> Result<Self> {
        let learn = spawn_blocking(move || {
            let recordings = plan.groups.iter().flat_map(|group| &group.recordings);
            self.0.extend(recordings.map(|recording| fingerprint(recording, &plan.audio_root)));
            self
        });
        Ok(learn.await?)
    }
}

fn fingerprint(recording: &Recording, audio_root: &str) -> (u64, u64) {
    (hash(&recording.id), hash(&recording.digest(audio_root)))
}

/// The news of a part, ready to be put.
struct Cut {
    plan: Plan,
    packed: Result<bytes::Bytes>,
    fingerprints: Vec<(u64, u64)>,
    added: u64,
}

/// Plans one batch, a plan at a time.
pub struct Planner<'a> {
    store: &'a dyn Store,
    sources: &'a Sources,
    id: BatchId,
    batch: Batch,
    /// Batches before this one that are cancelled.
    withdrawn: u64,
    planned: Planned,
    /// Number of the next plan.
    next: u64,
    /// Parts behind us.
    parts: usize,
    counts: Counts,
}

impl<'a> Planner<'a> {
    /// Reads what the data set of a batch has.
    ///
    /// # Errors
    /// If the store fails or the batch is not there.
    pub async fn open(
        store: &'a dyn Store,
        sources: &'a Sources,
        id: BatchId,
        register: &Register,
    ) -> Result<Self> {
        let batch = submit::read(store, &id.dataset, id.number).await?;
        let cancelled = register.cancelled();
        // Whether all of it is new or none, there will be so many: a table that grows has its old
        // and its new self in memory.
        let (mut planned, mut next) = (Planned::of(batch.recordings), 1);
        for number in numbers(store, &id.dataset).await? {
            let plan = read(store, &id.dataset, number).await?;
            next = number + 1;
            if !cancelled.contains(&plan.batch) {
                planned = planned.add(plan).await?;
            }
        }
        let withdrawn = register.withdrawn_before(id.number);
        let (parts, counts) = (0, Counts::default());
        Ok(Self { store, sources, id, batch, withdrawn, planned, next, parts, counts })
    }

    /// The batch.
    #[must_use]
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Puts the next plan and gives it; none when the whole batch is planned, or cancelled.
    ///
    /// # Errors
    /// If the store fails; what was planned until then stays.
    pub async fn next(&mut self) -> Result<Option<Plan>> {
        while let Some(digest) = self.batch.parts.get(self.parts) {
            let BatchId { dataset, number } = &self.id;
            if self.store.exists(&keys::cancelled(dataset, *number)).await? {
                return Ok(None);
            }
            let mut part = submit::recordings(self.store, dataset, digest).await?;
            if self.batch.stat_sources {
                self.look_at_sources(&mut part).await?;
            }
            self.parts += 1;
            if let Some(plan) = self.put(part.into()).await? {
                return Ok(Some(plan));
            }
        }
        Ok(None)
    }

    /// Writes down that the batch is planned.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn finish(self) -> Result<Counts> {
        let BatchId { dataset, number } = &self.id;
        let key = keys::planned(dataset, *number, self.withdrawn);
        let bytes = serde_json::to_vec(&self.counts).map_err(|e| Error::damaged(&key, e))?;
        // A batch that was cancelled meanwhile stays so.
        self.store.put_new(&key, bytes.into()).await?;
        Ok(self.counts)
    }

    /// Adds what is known of the sources. One that is not there now is the worker's to reject.
    async fn look_at_sources(&self, part: &mut [Recording]) -> Result<()> {
        let paths: Vec<&str> = part.iter().map(|recording| recording.path.as_str()).collect();
        let stats = self.sources.stats(&self.batch.audio_root, &paths).await?;
        for recording in part {
            if let Some(stat) = stats.get(&recording.path) {
                recording.size_bytes = Some(stat.size_bytes);
                recording.etag = stat.etag.clone();
            }
        }
        Ok(())
    }

    /// Puts a plan of what is new in a part, if anything is.
    async fn put(&mut self, part: Arc<[Recording]>) -> Result<Option<Plan>> {
        let dataset = self.id.dataset.clone();
        loop {
            let (planned, cut) = self.cut(Arc::clone(&part)).await?;
            self.planned = planned;
            if cut.plan.groups.is_empty() {
                return Ok(None);
            }
            let number = self.next;
            self.next += 1;
            match self.store.put_new(&keys::plan(&dataset, number), cut.packed?).await? {
                Put::Created => {
                    self.planned.0.extend(cut.fingerprints);
                    self.counts.added += cut.added;
                    self.counts.replaced += cut.plan.replaced.len() as u64;
                    return Ok(Some(cut.plan));
                }
                // Someone else plans for this data set: subtract theirs and try the next number.
                Put::Exists => {
                    let theirs = read(self.store, &dataset, number).await?;
                    let finished = keys::planned(&dataset, self.id.number, self.withdrawn);
                    if theirs.batch > self.id.number && self.store.exists(&finished).await? {
                        // They are behind this batch: what is later must not be replaced by it.
                        self.parts = self.batch.parts.len();
                        return Ok(None);
                    }
                    // Of a batch that was cancelled meanwhile nothing counts.
                    if !self.store.exists(&keys::cancelled(&dataset, theirs.batch)).await? {
                        self.planned = std::mem::take(&mut self.planned).add(theirs).await?;
                    }
                }
            }
        }
    }

    /// Cuts a part off the async runtime; gives back what it borrowed.
    async fn cut(&mut self, part: Arc<[Recording]>) -> Result<(Planned, Cut)> {
        let planned = std::mem::take(&mut self.planned);
        let (root, limits) = (self.batch.audio_root.clone(), self.batch.shards);
        let batch = self.id.number;
        let work = spawn_blocking(move || {
            let cut = cut(&part, &planned, root, limits, batch);
            (planned, cut)
        });
        Ok(work.await?)
    }
}

/// Cuts the news of a part into groups, in its order.
fn cut(
    part: &[Recording],
    planned: &Planned,
    audio_root: String,
    limits: ShardLimits,
    batch: u64,
) -> Cut {
    let mut plan = Plan { version: WIRE_VERSION, audio_root, batch, ..Plan::default() };
    let (mut added, mut bytes, mut fingerprints) = (0, 0, Vec::new());
    for recording in part {
        let (id, all) = fingerprint(recording, &plan.audio_root);
        match planned.0.get(&id) {
            None => added += 1,
            Some(known) if *known == all => continue,
            Some(_) => plan.replaced.push(recording.id.clone()),
        }
        fingerprints.push((id, all));
        let size = recording.size_bytes.unwrap_or(0);
        let full = plan.groups.last().is_none_or(|group| {
            group.recordings.len() >= limits.recordings || bytes + size > limits.bytes
        });
        if full {
            plan.groups.push(Group::default());
            bytes = 0;
        }
        bytes += size;
        if let Some(group) = plan.groups.last_mut() {
            group.recordings.push(recording.clone());
        }
    }
    let packed = zstd::encode_all(&*plan.encode_to_vec(), 3);
    let packed = packed.map(Into::into).map_err(|error| Error::damaged("a plan", error));
    Cut { plan, packed, fingerprints, added }
}

/// Plans every batch of a data set that is not planned yet, in order.
///
/// # Errors
/// If the store fails.
pub async fn plan_all(store: &dyn Store, sources: &Sources, dataset: &Name) -> Result<Counts> {
    let mut all = Counts::default();
    loop {
        let register = Register::read(store, dataset).await?;
        let Some(number) = register.next_unplanned() else { return Ok(all) };
        let id = BatchId { dataset: dataset.clone(), number };
        let mut planner = Planner::open(store, sources, id, &register).await?;
        while planner.next().await?.is_some() {}
        let counts = planner.finish().await?;
        all.added += counts.added;
        all.replaced += counts.replaced;
    }
}

/// The numbers of a data set's plans, in order.
pub(crate) async fn numbers(store: &dyn Store, dataset: &Name) -> Result<Vec<u64>> {
    let prefix = keys::plans(dataset);
    let number = |key: String| {
        keys::number_of(&key, &prefix).ok_or_else(|| Error::damaged(&key, "its name is no number"))
    };
    store.keys(&prefix).await?.into_iter().map(number).collect()
}

/// The audio root of what was submitted to a data set first; none if nothing was.
///
/// # Errors
/// If the store fails.
pub async fn origin(store: &dyn Store, dataset: &Name) -> Result<Option<String>> {
    match numbers(store, dataset).await?.first() {
        Some(first) => Ok(Some(read(store, dataset, *first).await?.audio_root)),
        None => Ok(None),
    }
}

/// A plan of a data set.
pub(crate) async fn read(store: &dyn Store, dataset: &Name, number: u64) -> Result<Plan> {
    let key = keys::plan(dataset, number);
    let packed = store.get(&key).await?;
    spawn_blocking(move || {
        let bytes = zstd::decode_all(&*packed).map_err(|error| Error::damaged(&key, error))?;
        Plan::read(&bytes).map_err(|error| Error::damaged(&key, error))
    })
    .await?
}
