//! The worker's loop: take, make, settle; stop on request.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use metrics::counter;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument as _, info, info_span, warn};
use voxage_contract::Kind;
use voxage_shards::Row;
use voxage_transport::source::Sources;
use voxage_transport::{Delivery, Queue, Store, trace};

use crate::isolated::Isolation;
use crate::pool::Pool;
use crate::shard::{Isolated, Made, make};
use crate::{Error, Result};

/// Deliveries of a task before it is put aside, if it fails each time.
const ATTEMPTS: u32 = 10;

/// A delivery this late was lost or failed before: perhaps a recording of it takes
/// workers down.
const ISOLATED_FROM: u32 = 3;

/// From this delivery on, a recording that cannot be read is given up if others of its task
/// can be: about three minutes after the first.
const GIVEN_UP_FROM: u32 = 6;

/// Until another worker, of a newer version, may be there.
const NEWER_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause before a task is tried again.
const MOST_PAUSE: Duration = Duration::from_secs(120);

/// A feature worker.
#[derive(Debug)]
pub struct Worker {
    /// Where shards go.
    pub store: Arc<dyn Store>,
    /// Where tasks come from, from all alike.
    pub queues: Vec<Arc<dyn Queue>>,
    /// The audio that it may read.
    pub sources: Sources,
    /// Recordings extracted at a time.
    pub slots: usize,
    /// Hears what is done.
    pub progress: Arc<Progress>,
    /// How recordings are extracted that may take the process down; if none, as all others.
    pub isolation: Option<Isolation>,
    /// How long tasks in hand may take after a stop; then they go back to the queue.
    pub grace: Duration,
}

/// What a worker has done so far.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    rejected: AtomicU64,
    audio_ms: AtomicU64,
    held: Mutex<BTreeSet<String>>,
}

/// A shard that is in the making.
pub(crate) struct Held<'a>(&'a Progress, String);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Progress {
    /// Recordings done, rejects among them.
    pub fn recordings(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Recordings that were rejected.
    pub fn rejects(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Seconds of audio that features were made of.
    pub fn audio_s(&self) -> f64 {
        self.audio_ms.load(Ordering::Relaxed) as f64 / 1000.0
    }

    /// Ids of the shards that are in the making.
    pub fn shards(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hold(&self, shard: &str) -> Held<'_> {
        self.lock().insert(shard.to_owned());
        Held(self, shard.to_owned())
    }

    pub(crate) fn skipped(&self, recordings: usize) {
        self.done.fetch_add(recordings as u64, Ordering::Relaxed);
    }

    pub(crate) fn done(&self, row: &Row) {
        self.done.fetch_add(1, Ordering::Relaxed);
        let outcome = if row.outcome.is_ok() { "row" } else { "reject" };
        counter!("voxage_recordings_total", "outcome" => outcome).increment(1);
        match &row.outcome {
            Ok(features) => {
                let ms = (features.audio.duration_s * 1000.0) as u64;
                let audio_ms = self.audio_ms.fetch_add(ms, Ordering::Relaxed) + ms;
                counter!("voxage_audio_seconds_total").absolute(audio_ms / 1000);
            }
            Err(reject) => {
                let (stage, code) = (reject.stage.clone(), reject.code.clone());
                counter!("voxage_rejects_total", "stage" => stage, "code" => code).increment(1);
                self.rejected.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Worker {
    /// Works until `stop`, or until the queue closes.
    ///
    /// # Errors
    /// If a queue fails.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let pool = Pool::new(self.slots, self.sources.clone());
        let mut deliveries = Vec::new();
        for queue in &self.queues {
            deliveries.push(queue.consume(self.slots.max(1)).await?);
        }
        // In turn: none waits for another's end.
        let mut deliveries = stream::select_all(deliveries);
        let (worker, mut tasks) = (Arc::new(self), JoinSet::new());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = tasks.join_next() => settled(ended)?,
                delivery = deliveries.next() => match delivery {
                    None => break,
                    Some(delivery) => {
                        let delivery = delivery?;
                        let span = info_span!(
                            "task", attempt = delivery.attempt(), batch = Empty, shard = Empty
                        );
                        trace::follow(&span, delivery.parent());
                        let work = Arc::clone(&worker).handle(Arc::clone(&pool), delivery);
                        tasks.spawn(work.instrument(span));
                    }
                },
            }
        }
        // Nothing more is asked for.
        drop(deliveries);
        let finish = async {
            while let Some(ended) = tasks.join_next().await {
                settled(ended)?;
            }
            Ok(())
        };
        let finished = tokio::time::timeout(worker.grace, finish).await;
        // What is not finished in time is dropped, which hands it back.
        tasks.shutdown().await;
        finished.unwrap_or(Ok(()))
    }

    /// Makes the shard of one delivery and settles it.
    async fn handle(self: Arc<Self>, pool: Arc<Pool>, delivery: Box<dyn Delivery>) -> Result<()> {
        let (attempt, start) = (delivery.attempt(), Instant::now());
        let isolation = self.isolation.as_ref().filter(|_| attempt >= ISOLATED_FROM);
        let last = attempt >= GIVEN_UP_FROM;
        let isolated = isolation.map(|isolation| Isolated { isolation, last });
        let made = make(&*self.store, &pool, isolated, &self.progress, delivery.payload()).await;
        let seconds = start.elapsed().as_secs_f64();
        let settled = match made {
            Ok(Made::Shard(work)) => {
                let work_s = work.as_secs_f64();
                info!(seconds, work_s, isolated = isolation.is_some(), "task done");
                settle_as("done");
                delivery.ack().await
            }
            Ok(Made::Nothing(why)) => {
                info!(why, "task skipped");
                settle_as("skipped");
                delivery.ack().await
            }
            Err(error) if error.kind() == Kind::Transient && attempt < ATTEMPTS => {
                let pause = match &error {
                    Error::Task(_) => NEWER_PAUSE,
                    _ => (Duration::from_millis(200) * (1 << attempt)).min(MOST_PAUSE),
                };
                warn!(%error, ?pause, "task failed, will be tried again");
                settle_as("retried");
                delivery.retry(pause).await
            }
            Err(error) => {
                warn!(%error, "task put aside");
                settle_as("dead");
                delivery.dead_letter(&error.to_string()).await
            }
        };
        match settled {
            Err(error) if error.kind() == Kind::Transient => {
                warn!(%error, "not settled: the task will come again");
                Ok(())
            }
            settled => Ok(settled?),
        }
    }
}

fn settle_as(outcome: &'static str) {
    counter!("voxage_tasks_total", "outcome" => outcome).increment(1);
}

fn settled(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended?
}
