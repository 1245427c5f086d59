//! The training runs of a store, told by the store alone.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;
use voxage_contract::keys;
use voxage_contract::training::{Metric, TrainRequest, Trained};
use voxage_transport::{ObjectMeta, Store, StoreExt as _};

use crate::survey::READERS;
use crate::{Error, Result};

/// A training run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its name.
    pub run: String,
    /// What was asked.
    pub request: TrainRequest,
    /// How it ended; none if it did not, yet.
    pub result: Option<Trained>,
    /// Steps of its newest checkpoint; none if it has none.
    pub checkpoint: Option<u64>,
    /// The newest line of its metrics, if there is one.
    pub last: Option<Metric>,
    /// Why it cannot be, if it failed for good; asked for again, it is tried again.
    pub failed: Option<String>,
    /// Whether whoever was at it has left it.
    pub left: bool,
}

/// Every run of a store, begun or asked for, in the order of their names; one with a damaged
/// object is left out, and logged.
///
/// # Errors
/// If the store fails.
pub async fn runs(store: &dyn Store) -> Result<Vec<Run>> {
    let read = begin_so(store, "").await?.into_iter().map(|(run, keys)| of(store, run, keys));
    let mut read = stream::iter(read.collect::<Vec<_>>()).buffered(READERS);
    let mut runs = Vec::new();
    while let Some(run) = read.next().await {
        match run {
            Ok(run) => runs.extend(run),
            // One that cannot be read must not hide the others.
            Err(error @ Error::Damaged { .. }) => warn!(%error, "a run is left out"),
            Err(error) => return Err(error),
        }
    }
    Ok(runs)
}

/// One run, by its name or the beginning of it that no other has.
///
/// # Errors
/// If there is none or several, or the store fails.
pub async fn run(store: &dyn Store, name: &str) -> Result<Run> {
    let mut found = begin_so(store, name).await?;
    match (found.pop_first(), found.is_empty()) {
        (Some((run, keys)), true) => of(store, run, keys).await?,
        (Some(_), false) => return Err(Error::SeveralRuns(name.to_owned())),
        (None, _) => None,
    }
    .ok_or_else(|| Error::NoRun(name.to_owned()))
}

/// The objects of the runs whose names begin so.
async fn begin_so(store: &dyn Store, name: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let mut objects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for prefix in [keys::RUNS, keys::TRAININGS] {
        let mut listing = store.list(prefix, None);
        while let Some(ObjectMeta { key, .. }) = listing.try_next().await? {
            let run = keys::run_of(&key).or_else(|| Some(keys::ask_of(&key)?.0));
            if let Some(run) = run.filter(|run| run.starts_with(name)).map(str::to_owned) {
                objects.entry(run).or_default().push(key);
            }
        }
    }
    Ok(objects)
}

/// All lines of a run's metrics, in the order of the steps. Of lines about the same step,
/// written before and after it was taken up again, one is given.
///
/// # Errors
/// If the store fails or an object of it is damaged.
pub async fn metrics(store: &dyn Store, run: &str) -> Result<Vec<Metric>> {
    let mut lines = BTreeMap::new();
    for key in store.keys(&keys::metrics(run)).await? {
        for metric in lines_of(store, &key).await? {
            lines.insert((metric.step, metric.epoch_end), metric);
        }
    }
    Ok(lines.into_values().collect())
}

async fn of(store: &dyn Store, run: String, keys: Vec<String>) -> Result<Option<Run>> {
    let begun = keys::run(&run, "request.json");
    let asked = keys.iter().rfind(|key| keys::ask_of(key).is_some());
    let key = Some(&begun).filter(|begun| keys.contains(begun)).or(asked);
    let Some(key) = key else { return Ok(None) };
    let Some(request) = read(store, key).await? else { return Ok(None) };
    let newest = |folder: String| keys.iter().filter(|key| key.starts_with(&folder)).max();
    let last = match newest(keys::metrics(&run)) {
        Some(key) => lines_of(store, key).await?.pop(),
        None => None,
    };
    let checkpoints = keys::checkpoints(&run);
    let checkpoint = newest(checkpoints.clone()).and_then(|key| keys::number_of(key, &checkpoints));
    let result = read(store, &keys::run(&run, "result.json")).await?;
    let ask = asked.and_then(|key| keys::ask_of(key));
    let failed = match ask.filter(|_| result.is_none()) {
        Some((_, ask)) => store.get_opt(&keys::failed(&run, ask)).await?,
        None => None,
    };
    let end = newest(keys::run_lease(&run)).filter(|key| key.ends_with("/end"));
    let word = match end.filter(|_| result.is_none() && failed.is_none()) {
        Some(end) => store.get_opt(end).await?.filter(|word| !word.is_empty()),
        None => None,
    };
    let failed = failed.or(word).map(|why| String::from_utf8_lossy(&why).into_owned());
    let left = end.is_some();
    Ok(Some(Run { run, request, result, checkpoint, last, failed, left }))
}

async fn read<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>> {
    let bytes = store.get_opt(key).await?;
    let parse = |bytes: bytes::Bytes| serde_json::from_slice(&bytes);
    bytes.map(parse).transpose().map_err(|error| Error::damaged(key, error))
}

async fn lines_of(store: &dyn Store, key: &str) -> Result<Vec<Metric>> {
    let bytes = store.get(key).await?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|e| Error::damaged(key, e))).collect()
}
