//! One task into one shard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use voxage_contract::{FeatureSpec, Recording, Reject, SpecId, Task, keys};
use voxage_extract::Extractor;
use voxage_shards::{Row, encode};
use voxage_transport::{Store, StoreExt as _};

use crate::recording::planned;
use crate::worker::Progress;
use crate::{Error, Result};

/// What the tasks of a worker share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub store: Arc<dyn Store>,
    pub progress: Arc<Progress>,
    slots: Arc<Semaphore>,
    width: usize,
    idle: Mutex<HashMap<SpecId, Vec<Extractor>>>,
}

impl Bench {
    pub fn new(store: Arc<dyn Store>, progress: Arc<Progress>, slots: usize) -> Self {
        let width = slots.max(1);
        Self {
            store,
            progress,
            slots: Arc::new(Semaphore::new(width)),
            width,
            idle: Mutex::default(),
        }
    }

    /// Makes the shard of a task, unless it is there.
    pub async fn make(self: &Arc<Self>, payload: &[u8]) -> Result<()> {
        let (task, spec) = Task::read(payload)?;
        let key = shard_key(&task, &spec)?;
        if self.store.exists(&key).await? {
            self.progress.skipped(task.recordings.len());
            return Ok(());
        }
        let Task { shard_id, audio_root, recordings, .. } = task;
        let (spec, audio_root) = (Arc::new(spec), Arc::<str>::from(audio_root));
        let rows = stream::iter(recordings).map(|recording| {
            Arc::clone(self).row(Arc::clone(&spec), Arc::clone(&audio_root), recording)
        });
        let rows: Vec<Row> = rows.buffered(self.width).try_collect().await?;
        let bytes = spawn_blocking(move || encode(&shard_id, &spec, &rows)).await??;
        // Created or there already: either way the shard is whole.
        self.store.put_new(&key, bytes).await?;
        Ok(())
    }

    async fn row(
        self: Arc<Self>,
        spec: Arc<FeatureSpec>,
        audio_root: Arc<str>,
        mut recording: Recording,
    ) -> Result<Row> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let (bench, asked) = (Arc::clone(&self), recording.clone());
        let work = spawn_blocking(move || {
            let _slot = slot;
            let mut extractor = bench.take(&spec);
            let outcome = planned(&mut extractor, &audio_root, &asked);
            bench.give_back(&spec, extractor);
            outcome
        });
        let outcome = match work.await {
            Ok(outcome) => {
                outcome.map_err(|source| Error::Source { path: recording.path.clone(), source })?
            }
            Err(lost) if lost.is_panic() => {
                let message = "the extractor panicked on this recording: please report it";
                Err(Reject::new("extract", "panic", message))
            }
            Err(lost) => return Err(lost.into()),
        };
        recording.reject = None;
        self.progress.done(&outcome);
        Ok(Row { recording, outcome })
    }

    /// An extractor of the spec, used before if possible.
    fn take(&self, spec: &FeatureSpec) -> Extractor {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let used = idle.get_mut(&spec.id()).and_then(Vec::pop);
        drop(idle);
        used.unwrap_or_else(|| Extractor::new(spec))
    }

    fn give_back(&self, spec: &FeatureSpec, extractor: Extractor) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(spec.id()).or_default().push(extractor);
    }
}

/// Where the shard of a task goes: it follows from the task's contents.
fn shard_key(task: &Task, spec: &FeatureSpec) -> Result<String> {
    use voxage_contract::wire::WireError;
    let dataset =
        task.dataset.parse().map_err(|_| WireError::Inconsistent("its data set has no name"))?;
    Ok(keys::shard(&dataset, &spec.id(), &task.shard()))
}
