//! The worker's loop: take, make, settle; stop on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use voxage_contract::Kind;
use voxage_shards::Row;
use voxage_transport::source::Sources;
use voxage_transport::{Delivery, Queue, Store};

use crate::Result;
use crate::pool::Pool;
use crate::shard::make;

/// Deliveries of a task before it is put aside, if it fails each time.
const ATTEMPTS: u32 = 5;

/// A feature worker.
#[derive(Debug)]
pub struct Worker {
    /// Where shards go.
    pub store: Arc<dyn Store>,
    /// Where tasks come from.
    pub queue: Arc<dyn Queue>,
    /// The audio that it may read.
    pub sources: Sources,
    /// Recordings extracted at a time.
    pub slots: usize,
    /// Hears what is done.
    pub progress: Arc<Progress>,
    /// How long tasks in hand may take after a stop; then they go back to the queue.
    pub grace: Duration,
}

/// What a worker has done so far.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    rejected: AtomicU64,
    audio_ms: AtomicU64,
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

    pub(crate) fn skipped(&self, recordings: usize) {
        self.done.fetch_add(recordings as u64, Ordering::Relaxed);
    }

    pub(crate) fn done(&self, row: &Row) {
        self.done.fetch_add(1, Ordering::Relaxed);
        match &row.outcome {
            Ok(features) => {
                let ms = (features.audio.duration_s * 1000.0) as u64;
                self.audio_ms.fetch_add(ms, Ordering::Relaxed);
            }
            Err(_) => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Worker {
    /// Works until `stop`, or until the queue closes.
    ///
    /// # Errors
    /// If the queue fails.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let pool = Pool::new(self.slots, self.sources.clone());
        let mut deliveries = self.queue.consume(self.slots.max(1)).await?;
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = tasks.join_next() => settled(ended)?,
                delivery = deliveries.next() => match delivery {
                    None => break,
                    Some(delivery) => {
                        let (store, progress) = (Arc::clone(&self.store), Arc::clone(&self.progress));
                        tasks.spawn(handle(store, Arc::clone(&pool), progress, delivery?));
                    }
                },
            }
        }
        let finish = async {
            while let Some(ended) = tasks.join_next().await {
                settled(ended)?;
            }
            Ok(())
        };
        // What is not finished in time is dropped, which hands it back.
        tokio::time::timeout(self.grace, finish).await.unwrap_or(Ok(()))
    }
}

fn settled(ended: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended?
}

/// Makes the shard of one delivery and settles it.
async fn handle(
    store: Arc<dyn Store>,
    pool: Arc<Pool>,
    progress: Arc<Progress>,
    delivery: Box<dyn Delivery>,
) -> Result<()> {
    let attempt = delivery.attempt();
    match make(&*store, &pool, &progress, delivery.payload()).await {
        Ok(()) => {
            info!(attempt, "task done");
            delivery.ack().await?;
        }
        Err(error) if error.kind() == Kind::Transient && attempt < ATTEMPTS => {
            let pause = Duration::from_millis(200 << attempt);
            warn!(attempt, %error, ?pause, "task failed, will be tried again");
            delivery.retry(pause).await?;
        }
        Err(error) => {
            warn!(attempt, %error, "task put aside");
            delivery.dead_letter(&error.to_string()).await?;
        }
    }
    Ok(())
}
