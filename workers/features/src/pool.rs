//! Extractors for as many recordings at a time as there are slots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt as _, stream};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use voxage_contract::{FeatureSpec, Recording, Reject, SpecId};
use voxage_extract::{Extractor, WeightsError};
use voxage_shards::Row;

use crate::recording::extract_planned;
use crate::{Error, Result};

/// Extractors, made as they are needed and used again.
pub struct Pool {
    slots: Arc<Semaphore>,
    width: usize,
    idle: Mutex<HashMap<SpecId, Vec<Extractor>>>,
}

impl Pool {
    /// A pool that extracts `slots` recordings at a time, at least one.
    #[must_use]
    pub fn new(slots: usize) -> Arc<Self> {
        let width = slots.max(1);
        let slots = Arc::new(Semaphore::new(width));
        Arc::new(Self { slots, width, idle: Mutex::default() })
    }

    /// Recordings that it extracts at a time.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The rows of recordings, in their order. An error is of the world, not of the
    /// recording, and leaves the rows behind it as they are.
    pub fn extract(
        self: &Arc<Self>,
        spec: &FeatureSpec,
        audio_root: &str,
        recordings: Vec<Recording>,
    ) -> impl Stream<Item = Result<Row>> + use<> {
        let (spec, audio_root) = (Arc::new(spec.clone()), Arc::<str>::from(audio_root));
        let (pool, width) = (Arc::clone(self), self.width);
        let rows = stream::iter(recordings).map(move |recording| {
            Arc::clone(&pool).row(Arc::clone(&spec), Arc::clone(&audio_root), recording)
        });
        rows.buffered(width)
    }

    async fn row(
        self: Arc<Self>,
        spec: Arc<FeatureSpec>,
        audio_root: Arc<str>,
        mut recording: Recording,
    ) -> Result<Row> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let asked = recording.clone();
        let work = spawn_blocking(move || {
            let _slot = slot;
            let mut extractor = self.take(&spec)?;
            let outcome = extract_planned(&mut extractor, &audio_root, &asked);
            self.give_back(&spec, extractor);
            outcome.map_err(|source| Error::Source { path: asked.path, source })
        });
        let outcome = match work.await {
            Ok(outcome) => outcome?,
            Err(lost) if lost.is_panic() => {
                let message = "the extractor panicked on this recording: please report it";
                Err(Reject::new("extract", "panic", message))
            }
            Err(lost) => return Err(lost.into()),
        };
        recording.reject = None;
        Ok(Row { recording, outcome })
    }

    /// An extractor of the spec, used before if possible.
    fn take(&self, spec: &FeatureSpec) -> Result<Extractor, WeightsError> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let used = idle.get_mut(&spec.id()).and_then(Vec::pop);
        drop(idle);
        used.map_or_else(|| Extractor::new(spec), Ok)
    }

    fn give_back(&self, spec: &FeatureSpec, extractor: Extractor) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(spec.id()).or_default().push(extractor);
    }
}
