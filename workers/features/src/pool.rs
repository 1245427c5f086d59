//! Extractors for as many recordings at a time as there are slots, and the recordings on
//! their way to them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::{Stream, StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tracing::{Instrument as _, Metadata, Span, debug_span};
use voxage_contract::{FeatureSpec, Features, Recording, Reject, SpecId};
use voxage_extract::{Extractor, WeightsError};
use voxage_shards::Row;
use voxage_transport::source::{Audio, Sources};

use crate::Result;
use crate::recording::fetch;
use crate::took;

/// Recordings in hand for each slot: one is extracted while the next is fetched.
const IN_HAND: usize = 2;

/// Of so many recordings of a task, the stages of one are spans.
const SPANS_EVERY: usize = 64;

/// The span of a stage, of a recording that has one.
fn stage(name: &'static str) -> Span {
    match Span::current().metadata().map(Metadata::name) {
        Some("recording") => debug_span!("stage", otel.name = name),
        _ => Span::none(),
    }
}

/// Extractors, made as they are needed and used again.
pub struct Pool {
    sources: Sources,
    slots: Arc<Semaphore>,
    in_hand: Arc<Semaphore>,
    width: usize,
    idle: Mutex<HashMap<SpecId, Vec<Extractor>>>,
}

impl Pool {
    /// A pool that extracts `slots` recordings at a time, at least one, and has the bytes of
    /// twice as many in hand.
    #[must_use]
    pub fn new(slots: usize, sources: Sources) -> Arc<Self> {
        let (slots, width) = (slots.max(1), IN_HAND * slots.max(1));
        let (slots, in_hand) = (Semaphore::new(slots), Semaphore::new(width));
        let (slots, in_hand) = (Arc::new(slots), Arc::new(in_hand));
        Arc::new(Self { sources, slots, in_hand, width, idle: Mutex::default() })
    }

    /// Recordings of a task that it has in hand.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Waits for the right to extract a recording.
    pub(crate) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.slots).acquire_owned().await.ok()
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
        let rows = stream::iter(recordings).enumerate().map(move |(i, recording)| {
            let row = Arc::clone(&pool).row(Arc::clone(&spec), Arc::clone(&audio_root), recording);
            // A trace of millions of recordings is no use to anybody.
            let span = match i % SPANS_EVERY {
                0 => debug_span!("recording", i),
                _ => Span::none(),
            };
            row.instrument(span)
        });
        rows.buffered(width)
    }

    async fn row(
        self: Arc<Self>,
        spec: Arc<FeatureSpec>,
        audio_root: Arc<str>,
        mut recording: Recording,
    ) -> Result<Row> {
        let _in_hand = Arc::clone(&self.in_hand).acquire_owned().await;
        let start = Instant::now();
        let fetching = fetch(&self.sources, &spec, &audio_root, &recording);
        let fetched = fetching.instrument(stage("fetch")).await?;
        took("fetch", start);
        let outcome = match fetched {
            Ok(audio) => self.features(spec, audio, recording.given.clone()).await?,
            Err(reject) => Err(reject),
        };
        recording.reject = None;
        Ok(Row { recording, outcome })
    }

    /// The features of a recording whose bytes are in hand, when there is a slot.
    async fn features(
        self: Arc<Self>,
        spec: Arc<FeatureSpec>,
        audio: Audio,
        given: BTreeMap<String, f64>,
    ) -> Result<Result<Features, Reject>> {
        let slot = self.slot().await;
        let span = stage("extract");
        let work = spawn_blocking(move || {
            let (_slot, _span) = (slot, span.entered());
            let mut extractor = self.take(&spec)?;
            let start = Instant::now();
            let outcome = extractor.extract(audio, &given);
            took("extract", start);
            self.give_back(&spec, extractor);
            Ok(outcome)
        });
        match work.await {
            Err(lost) if lost.is_panic() => {
                let message = "the extractor panicked on this recording: please report it";
                Ok(Err(Reject::new("extract", "panic", message)))
            }
            ended => ended?,
        }
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
