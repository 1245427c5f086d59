//! Submission: what a manifest has that the data set does not, written down as plans.
//!
//! Always holds: a plan is one object, created whole; a submission that is cut off is
//! taken up by submitting again, because what is planned already is subtracted. Memory is
//! 16 bytes for each recording of the data set, and one part.

use std::collections::HashMap;
use std::path::PathBuf;

use prost::Message as _;
use tokio::task::spawn_blocking;
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{Group, Name, Plan, Recording, keys};
use voxage_transport::source::Sources;
use voxage_transport::{Put, Store, StoreExt as _};

use crate::check::hash;
use crate::intake::Intake;
use crate::{Error, Result};

/// Recordings of one plan object: some megabytes.
const PART_RECORDINGS: usize = 100_000;

/// How much goes into one shard.
#[derive(Debug, Clone, Copy)]
pub struct ShardLimits {
    /// Recordings, at most.
    pub recordings: usize,
    /// Bytes of audio, at most, unless one recording alone has more.
    pub bytes: u64,
}

/// A manifest on its way into a data set.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The manifest's file.
    pub manifest: PathBuf,
    /// URI that its paths are relative to.
    pub audio_root: String,
    /// The data set.
    pub dataset: Name,
    /// How it is cut.
    pub limits: ShardLimits,
}

/// What a submission came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Submitted {
    /// Rows of the manifest.
    pub seen: u64,
    /// Recordings that the data set did not have.
    pub added: u64,
    /// Recordings that it had otherwise: these rows take their place.
    pub replaced: u64,
}

/// What is planned: the hash of each id, with that of all that was submitted about it.
#[derive(Default)]
struct Planned(HashMap<u64, u64>);

impl Planned {
    fn add(&mut self, plan: &Plan) {
        let recordings = plan.groups.iter().flat_map(|group| &group.recordings);
        for recording in recordings {
            self.0.insert(hash(&recording.id), hash(&recording.digest(&plan.audio_root)));
        }
    }

    /// Whether a recording is new, changed, or (none) known as it is.
    fn news(&self, recording: &Recording, audio_root: &str) -> Option<News> {
        match self.0.get(&hash(&recording.id)) {
            None => Some(News::Added),
            Some(known) if *known == hash(&recording.digest(audio_root)) => None,
            Some(_) => Some(News::Replaced),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Added,
    Replaced,
}

/// Plans what a manifest has and the data set does not; `progress` hears the rows seen so far.
///
/// The manifest should have passed [`crate::check()`]: rows that name no recording are left out.
///
/// # Errors
/// If the manifest cannot be read or the store fails; what was planned until then stays.
pub async fn submit(
    store: &dyn Store,
    sources: &Sources,
    submission: &Submission,
    mut progress: impl FnMut(u64),
) -> Result<Submitted> {
    let dataset = &submission.dataset;
    let mut planned = Planned::default();
    let mut next = 1;
    for number in numbers(store, dataset).await? {
        planned.add(&read(store, dataset, number).await?);
        next = number + 1;
    }
    let (manifest, root) = (submission.manifest.clone(), submission.audio_root.clone());
    let mut intake = spawn_blocking(move || Intake::open(&manifest, &root)).await??;
    let mut submitted = Submitted::default();
    loop {
        let (back, part) = spawn_blocking(move || {
            let part = part(&mut intake);
            (intake, part)
        })
        .await?;
        intake = back;
        let (rows, mut part) = part?;
        if rows == 0 {
            return Ok(submitted);
        }
        look_at(sources, &submission.audio_root, &mut part).await?;
        submitted.seen += rows;
        loop {
            let (plan, added) = cut(&part, &planned, submission);
            if plan.groups.is_empty() {
                break;
            }
            let key = keys::plan(dataset, next);
            match store.put_new(&key, compress(&key, &plan)?).await? {
                Put::Created => {
                    planned.add(&plan);
                    submitted.added += added;
                    submitted.replaced += plan.replaced.len() as u64;
                    next += 1;
                    break;
                }
                // Someone else submits to this data set: subtract theirs and try the next number.
                Put::Exists => {
                    planned.add(&read(store, dataset, next).await?);
                    next += 1;
                }
            }
        }
        progress(submitted.seen);
    }
}

/// The next rows of a manifest: their number, and their recordings.
fn part(intake: &mut Intake) -> Result<(u64, Vec<Recording>)> {
    let (mut rows, mut part) = (0, Vec::new());
    for entry in intake.by_ref().take(PART_RECORDINGS) {
        rows += 1;
        part.extend(entry?.recording);
    }
    Ok((rows, part))
}

/// Adds what is known of the sources. One that is not there now is the worker's to reject.
async fn look_at(sources: &Sources, audio_root: &str, part: &mut [Recording]) -> Result<()> {
    let paths: Vec<&str> = part.iter().map(|recording| recording.path.as_str()).collect();
    let stats = sources.stats(audio_root, &paths).await?;
    for recording in part {
        if let Some(stat) = stats.get(&recording.path) {
            recording.size_bytes = Some(stat.size_bytes);
            recording.etag = stat.etag.clone();
        }
    }
    Ok(())
}

/// Cuts the news of a part into groups, in its order; counts what is wholly new.
fn cut(part: &[Recording], planned: &Planned, submission: &Submission) -> (Plan, u64) {
    let Submission { audio_root, limits, .. } = submission;
    let mut plan =
        Plan { version: WIRE_VERSION, audio_root: audio_root.clone(), ..Plan::default() };
    let (mut added, mut bytes) = (0, 0);
    for recording in part {
        match planned.news(recording, audio_root) {
            None => continue,
            Some(News::Added) => added += 1,
            Some(News::Replaced) => plan.replaced.push(recording.id.clone()),
        }
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
    (plan, added)
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
    let bytes = store.get(&key).await?;
    let bytes = zstd::decode_all(&*bytes).map_err(|error| Error::damaged(&key, error))?;
    Plan::read(&bytes).map_err(|error| Error::damaged(&key, error))
}

fn compress(key: &str, plan: &Plan) -> Result<bytes::Bytes> {
    let bytes = zstd::encode_all(&*plan.encode_to_vec(), 3);
    bytes.map(Into::into).map_err(|error| Error::damaged(key, error))
}
