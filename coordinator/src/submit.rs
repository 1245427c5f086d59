//! Submission: a manifest becomes a numbered batch of a data set.
//!
//! Always holds: the batch appears whole, by one conditional put after all of its parts;
//! a submission that is cut off leaves parts that the next attempt finds. Memory is some
//! parts. What the data set has already is the plan's business.

use std::path::PathBuf;

use futures::{TryStreamExt as _, stream};
use prost::Message as _;
use tokio::task::spawn_blocking;
use voxage_contract::batch::BATCH_FORMAT;
use voxage_contract::digest::Digest;
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{Batch, BatchId, FeatureSpec, Name, Part, Recording, ShardLimits, keys};
use voxage_transport::{Put, Store, trace};

use crate::intake::{Entry, Intake};
use crate::problem::Severity;
use crate::register::Register;
use crate::{Error, Result};

/// Batches that a schedule's is compared with, the newest: more are not entered in one night.
const MOST_NIGHTS: usize = 64;

/// Recordings of one part: a megabyte or two, and whole shards of the default size.
const PART_RECORDINGS: usize = 10_240;

/// Parts that are written at a time.
const WRITERS: usize = 4;

/// A manifest on its way into a data set.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The manifest's file.
    pub manifest: PathBuf,
    /// URI that its paths are relative to.
    pub paths_root: String,
    /// URI that the audio is at, under the paths that `change` leaves: mostly the same.
    pub audio_root: String,
    /// The data set.
    pub dataset: Name,
    /// The features to be made.
    pub spec: FeatureSpec,
    /// How it is cut.
    pub shards: ShardLimits,
    /// Whether sizes and etags of the sources are looked up when it is planned.
    pub stat_sources: bool,
    /// Whether a schedule submits it.
    pub scheduled: bool,
}

/// What a submission came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The batch.
    pub batch: BatchId,
    /// False if it is the newest batch of before: there is nothing to do.
    pub new: bool,
    /// Recordings of the manifest.
    pub recordings: u64,
}

/// Writes a manifest down as a batch; `progress` hears the recordings so far, `change` may
/// alter each before it is written.
///
/// # Errors
/// If the manifest cannot be read, has a row that [`crate::check()`] refuses it for, or the
/// store fails.
pub async fn submit(
    store: &dyn Store,
    submission: Submission,
    change: impl Fn(&mut Recording) + Clone + Send + 'static,
    mut progress: impl FnMut(u64),
) -> Result<Submitted> {
    let Submission { manifest, paths_root, audio_root, dataset, spec, shards, .. } = submission;
    let Submission { stat_sources, scheduled, .. } = submission;
    let name = manifest.display().to_string();
    let intake = spawn_blocking(move || Intake::open(&manifest, &paths_root)).await??;
    let parts = stream::try_unfold(intake, |mut intake| {
        let (change, name) = (change.clone(), name.clone());
        async move {
            let read = move || Ok(part(&mut intake, &name, &change)?.map(|part| (part, intake)));
            spawn_blocking(read).await?
        }
    });
    let mut batch = Batch {
        format: BATCH_FORMAT,
        audio_root,
        spec,
        shards,
        stat_sources,
        scheduled,
        recordings: 0,
        parts: Vec::new(),
        trace: trace::current(),
    };
    let written = parts.map_ok(|part| write(store, &dataset, part)).try_buffered(WRITERS);
    let mut written = std::pin::pin!(written);
    while let Some((digest, recordings)) = written.try_next().await? {
        batch.recordings += recordings;
        batch.parts.push(digest);
        progress(batch.recordings);
    }
    let (number, new) = enter(store, &dataset, &batch).await?;
    let id = BatchId { dataset: dataset.clone(), number };
    Ok(Submitted { batch: id, new, recordings: batch.recordings })
}

/// The next recordings of a manifest; none at its end.
fn part(
    intake: &mut Intake,
    manifest: &str,
    change: &impl Fn(&mut Recording),
) -> Result<Option<Part>> {
    let mut recordings = Vec::new();
    while recordings.len() < PART_RECORDINGS {
        let Some(entry) = intake.next() else { break };
        let Entry { recording, problems, .. } = entry?;
        let refused = problems.into_iter().find(|one| one.severity == Severity::Structure);
        if let Some(problem) = refused {
            return Err(Error::Structure { path: manifest.to_owned(), problem });
        }
        if let Some(mut recording) = recording {
            change(&mut recording);
            recordings.push(recording);
        }
    }
    Ok((!recordings.is_empty()).then_some(Part { version: WIRE_VERSION, recordings }))
}

/// Puts a part; gives its digest and the number of its recordings.
async fn write(store: &dyn Store, dataset: &Name, part: Part) -> Result<(String, u64)> {
    let recordings = part.recordings.len() as u64;
    let (digest, packed) = spawn_blocking(move || {
        let bytes = part.encode_to_vec();
        let digest = Digest::new("part").part(&bytes).hex();
        zstd::encode_all(&*bytes, 3).map(|packed| (digest, packed))
    })
    .await?
    .map_err(|error| Error::damaged("a part of the batch", error))?;
    store.put_new(&keys::part(dataset, &digest), packed.into()).await?;
    Ok((digest, recordings))
}

/// Enters a batch into its data set's register, unless the newest there is the very same
/// and the sources, which may have changed, are nobody's concern.
async fn enter(store: &dyn Store, dataset: &Name, batch: &Batch) -> Result<(u64, bool)> {
    let bytes = serde_json::to_vec_pretty(batch).map_err(|e| Error::damaged("the batch", e))?;
    loop {
        let register = Register::read(store, dataset).await?;
        // Of a schedule's, another coordinator may have entered it just now, and more since.
        let looks = match (batch.scheduled, batch.stat_sources) {
            (true, _) => MOST_NIGHTS,
            (false, stat_sources) => usize::from(!stat_sources),
        };
        for number in register.standing().rev().take(looks) {
            let before = read(store, dataset, number).await?;
            if (Batch { trace: batch.trace.clone(), ..before }) == *batch {
                return Ok((number, false));
            }
        }
        let number = register.last() + 1;
        let key = keys::batch(dataset, number);
        if store.put_new(&key, bytes.clone().into()).await? == Put::Created {
            return Ok((number, true));
        }
    }
}

/// A batch of a data set.
///
/// # Errors
/// If it is not there, is damaged, or is of a newer format.
pub async fn read(store: &dyn Store, dataset: &Name, number: u64) -> Result<Batch> {
    let key = keys::batch(dataset, number);
    let batch: Batch = serde_json::from_slice(&store.get(&key).await?)
        .map_err(|error| Error::damaged(&key, error))?;
    if batch.format > BATCH_FORMAT {
        return Err(Error::damaged(&key, "a newer voxage wrote it: upgrade this one"));
    }
    Ok(batch)
}

/// The recordings of a part.
pub(crate) async fn recordings(
    store: &dyn Store,
    dataset: &Name,
    digest: &str,
) -> Result<Vec<Recording>> {
    let key = keys::part(dataset, digest);
    let packed = store.get(&key).await?;
    spawn_blocking(move || {
        let bytes = zstd::decode_all(&*packed).map_err(|error| Error::damaged(&key, error))?;
        let part = Part::read(&bytes).map_err(|error| Error::damaged(&key, error))?;
        Ok(part.recordings)
    })
    .await?
}
