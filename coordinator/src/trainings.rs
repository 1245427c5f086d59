//! Trainings that are asked for over the queue: written down first, then published.
//!
//! Always holds: what was asked for and neither has a result nor failed is published again
//! when nobody has it, so a broker that lost everything loses nothing of it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use prost::Message as _;
use tracing::{Instrument as _, info_span, warn};
use voxage_contract::training::{TrainRequest, Trained};
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{Kind, Training, keys};
use voxage_transport::{AmqpQueue, Put, Queue, Store, StoreExt as _, trace};

use crate::company::Company;
use crate::register::Register;
use crate::{Error, Result, registry, submit};

/// For so long a training that waits for a trainer may be in nobody's sight: it circles
/// between the queue and its delay while one is at work on it.
const PATIENCE: Duration = Duration::from_secs(180);

/// How a training stands that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It waits, or a trainer is at it.
    Open,
    /// It has a model.
    Trained(Box<Trained>),
    /// It cannot be done: why.
    Failed(String),
}

/// Asks for a training, unless it is asked for already.
///
/// # Errors
/// If the store or the queue fails.
pub async fn ask(store: &dyn Store, queue: &dyn Queue, request: &TrainRequest) -> Result<Training> {
    let span = info_span!("ask for training");
    trace::follow(&span, submitted(store, &request.manifest).await.as_deref());
    ask_once(store, queue, request).instrument(span).await
}

/// The span of what was submitted last to the data set of a sealed manifest: the training is
/// its last step.
async fn submitted(store: &dyn Store, manifest: &str) -> Option<String> {
    let dataset = keys::dataset_of(manifest).filter(|_| trace::collects())?;
    let newest = Register::read(store, &dataset).await.ok()?.newest()?;
    submit::read(store, &dataset, newest).await.ok()?.trace
}

async fn ask_once(
    store: &dyn Store,
    queue: &dyn Queue,
    request: &TrainRequest,
) -> Result<Training> {
    let run = request.run_id();
    let bytes = serde_json::to_vec_pretty(request).map_err(|e| Error::damaged("a request", e))?;
    let mut number = newest(store, &run).await?.max(1);
    loop {
        let put = store.put_new(&keys::asked(&run, number), bytes.clone().into()).await?;
        let training = Training { version: WIRE_VERSION, run: run.clone(), ask: number };
        if self::request(store, &training).await?.against != request.against {
            // The same run, to be compared with another.
            number += 1;
            continue;
        }
        match standing(store, &training).await? {
            Standing::Failed(_) => number += 1,
            standing => {
                if put == Put::Created || standing == Standing::Open {
                    queue.publish(training.encode_to_vec().into()).await?;
                }
                return Ok(training);
            }
        }
    }
}

/// What was asked for.
///
/// # Errors
/// If the store fails, or nothing was asked for.
pub async fn request(store: &dyn Store, training: &Training) -> Result<TrainRequest> {
    let key = keys::asked(&training.run, training.ask);
    serde_json::from_slice(&store.get(&key).await?).map_err(|error| Error::damaged(&key, error))
}

/// How a training stands.
///
/// # Errors
/// If the store fails.
pub async fn standing(store: &dyn Store, training: &Training) -> Result<Standing> {
    let result = keys::run(&training.run, "result.json");
    if let Some(bytes) = store.get_opt(&result).await? {
        let TrainRequest { manifest, against, .. } = request(store, training).await?;
        if let Some(other) = against
            && !registry::is_measured(store, &other, &manifest).await?
        {
            return Ok(Standing::Open);
        }
        let trained = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&result, e))?;
        return Ok(Standing::Trained(trained));
    }
    let failed = keys::failed(&training.run, training.ask);
    Ok(match store.get_opt(&failed).await? {
        Some(bytes) => Standing::Failed(String::from_utf8_lossy(&bytes).into_owned()),
        None => Standing::Open,
    })
}

/// Writes down that a training cannot be done.
///
/// # Errors
/// If the store fails.
pub async fn fail(store: &dyn Store, training: &Training, why: &str) -> Result<()> {
    let key = keys::failed(&training.run, training.ask);
    store.put_new(&key, why.to_owned().into()).await?;
    Ok(())
}

/// The number of a run's newest request; 0 if there is none.
async fn newest(store: &dyn Store, run: &str) -> Result<u64> {
    let folder = keys::training(run);
    let keys = store.keys(&folder).await?;
    Ok(keys.iter().filter_map(|key| keys::number_of(key, &folder)).max().unwrap_or(0))
}

/// Sees to it that no training is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Trainings {
    /// Those that have ended.
    ended: HashSet<(String, u64)>,
    /// When an open one was first seen in nobody's hands.
    lost: HashMap<(String, u64), Instant>,
}

impl Trainings {
    /// Publishes again what nobody has.
    pub(crate) async fn tend(
        &mut self,
        store: &dyn Store,
        queue: &AmqpQueue,
        company: &Company,
    ) -> Result<()> {
        let held: HashSet<String> =
            company.now().into_iter().flat_map(|beat| beat.shards).collect();
        let waiting = queue.depth().await?.ready > 0;
        for key in store.keys(keys::TRAININGS).await? {
            let Some((run, ask)) = keys::ask_of(&key) else { continue };
            let place = (run.to_owned(), ask);
            if self.ended.contains(&place) {
                continue;
            }
            let training = Training { version: WIRE_VERSION, run: run.to_owned(), ask };
            let standing = match standing(store, &training).await {
                Err(error) if error.kind() != Kind::Transient => {
                    // It must not keep the others from being looked after.
                    warn!(run, ask, %error, "a training is left out");
                    self.ended.insert(place);
                    continue;
                }
                standing => standing?,
            };
            if standing != Standing::Open {
                self.lost.remove(&place);
                self.ended.insert(place);
            } else if waiting || held.contains(run) {
                self.lost.remove(&place);
            } else if self.lost.entry(place.clone()).or_insert_with(Instant::now).elapsed()
                > PATIENCE
            {
                warn!(run, ask, "the training is in nobody's hands: published again");
                queue.publish(training.encode_to_vec().into()).await?;
                self.lost.remove(&place);
            }
        }
        Ok(())
    }
}
