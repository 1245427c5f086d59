//! From a body to a prediction: threads that extract, and one that predicts what they made,
//! as many recordings at a time as are there.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use voxage_contract::training::ServeRequest;
use voxage_contract::{FeatureSpec, Features, Gender, Recording, Reject};
use voxage_extract::Extractor;
use voxage_transport::source::Audio;

use super::metrics::{Metrics, Stage};
use crate::Result;
use crate::estimator::{Estimates as _, Estimator};
use crate::inputs::Example;
use crate::models::{Card, Models};
use crate::panics::caught;

/// Recordings that are predicted at a time, at most.
const MOST_AT_ONCE: usize = 32;

/// Jobs that wait for each slot.
const WAITING: usize = 8;

/// A model version, ready.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Its key.
    pub(super) key: String,
    card: Card,
    estimator: Estimator,
}

impl Loaded {
    /// Loads a version.
    pub(super) fn load(models: Models<'_>, key: &str, request: &ServeRequest) -> Result<Self> {
        let (mut card, estimator) = models.load(key)?;
        // Nobody waits for longer, and none may keep a slot for longer.
        let limits = &mut card.spec.limits;
        limits.duration_s = limits.duration_s.min(request.duration_s);
        limits.extract_s = limits.extract_s.min(request.timeout_s.ceil() as u64);
        Ok(Self { key: key.to_owned(), card, estimator })
    }

    fn about(&self) -> About {
        let Card { spec, settings, conformal, .. } = &self.card;
        About {
            key: self.key.clone(),
            spec: spec.clone(),
            architecture: settings.architecture.name(),
            coverage: conformal.as_ref().map(|conformal| conformal.coverage),
        }
    }
}

/// What others than the predictor know of the model.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) key: String,
    pub(super) spec: FeatureSpec,
    pub(super) architecture: &'static str,
    pub(super) coverage: Option<f64>,
}

/// A recording to be predicted.
#[derive(Debug)]
pub(super) struct Job {
    /// The bytes of its file.
    pub(super) audio: Bytes,
    /// What they take of the memory for bodies: whoever asked may be gone before they are.
    pub(super) _room: Option<OwnedSemaphorePermit>,
    pub(super) gender: Gender,
    /// Tabular columns that are known.
    pub(super) given: BTreeMap<String, f64>,
    /// Where the answer goes.
    pub(super) answer: oneshot::Sender<Result<Answer, Reject>>,
}

/// A predicted age.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) age: f64,
    pub(super) interval: Option<[f64; 2]>,
    pub(super) warnings: Vec<String>,
    pub(super) model: String,
    pub(super) duration_s: f64,
}

enum Work {
    Extracted(Job, FeatureSpec, Box<Features>),
    Change(Box<Loaded>),
}

/// Where jobs are handed in.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    jobs: SyncSender<Job>,
    about: Arc<RwLock<About>>,
}

impl Counter {
    /// Hands a job in; false if too many wait.
    pub(super) fn hand_in(&self, job: Job) -> bool {
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// The model that answers.
    pub(super) fn about(&self) -> About {
        self.about.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The threads.
pub(super) struct Shop {
    counter: Counter,
    work: SyncSender<Work>,
}

impl Shop {
    /// Starts the threads.
    pub(super) fn open(
        loaded: Loaded,
        request: &ServeRequest,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let slots = request.slots.max(1);
        // What the model needs must be there before anyone asks.
        Extractor::new(&loaded.card.spec)?;
        let about = Arc::new(RwLock::new(loaded.about()));
        let (jobs, waiting) = sync_channel(WAITING * slots);
        let (work, extracted) = sync_channel(2 * slots);
        let waiting = Arc::new(Mutex::new(waiting));
        let counter = Counter { jobs: jobs.clone(), about: Arc::clone(&about) };
        for _ in 0..slots {
            let (waiting, work) = (Arc::clone(&waiting), work.clone());
            let (about, metrics) = (Arc::clone(&about), Arc::clone(&metrics));
            thread::spawn(move || extract(&waiting, &work, &about, &metrics));
        }
        thread::spawn(move || predict(loaded, &extracted, &jobs, &about, &metrics));
        Ok(Self { counter, work })
    }

    pub(super) fn counter(&self) -> Counter {
        self.counter.clone()
    }

    /// Lets another model answer.
    pub(super) fn change(&self, loaded: Loaded) {
        // There is nobody to tell if the predictor is gone.
        let _ = self.work.send(Work::Change(Box::new(loaded)));
    }
}

/// Extracts job after job.
fn extract(
    waiting: &Mutex<Receiver<Job>>,
    work: &SyncSender<Work>,
    about: &RwLock<About>,
    metrics: &Metrics,
) {
    let mut made: Option<(FeatureSpec, Extractor)> = None;
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if job.answer.is_closed() {
            continue;
        }
        let spec = about.read().unwrap_or_else(PoisonError::into_inner).spec.clone();
        let extractor = match made.take().filter(|(of, _)| *of == spec) {
            Some((_, extractor)) => Ok(extractor),
            None => Extractor::new(&spec),
        };
        let extractor = extractor.map_err(|e| Reject::new("extract", "no_weights", e.to_string()));
        let start = Instant::now();
        let done = extractor.and_then(|mut extractor| {
            let audio = Audio::from(job.audio.clone());
            let done = catch_unwind(AssertUnwindSafe(|| extractor.extract(audio, &job.given)));
            let done = done.unwrap_or_else(|_| {
                Err(Reject::new("decode", "crashed", "this file makes the decoder fail"))
            })?;
            made = Some((spec.clone(), extractor));
            Ok(done)
        });
        metrics.took(Stage::Extract, start.elapsed());
        match done {
            Ok(features) => {
                if work.send(Work::Extracted(job, spec, Box::new(features))).is_err() {
                    return;
                }
            }
            // Whoever asked may be gone.
            Err(reject) => drop(job.answer.send(Err(reject))),
        }
    }
}

/// Predicts what is extracted.
fn predict(
    mut loaded: Loaded,
    work: &Receiver<Work>,
    again: &SyncSender<Job>,
    about: &RwLock<About>,
    metrics: &Metrics,
) {
    while let Ok(first) = work.recv() {
        let mut ready = Vec::new();
        for one in std::iter::once(first).chain(work.try_iter()).take(MOST_AT_ONCE) {
            match one {
                Work::Change(other) => {
                    answer(&loaded, std::mem::take(&mut ready), metrics);
                    loaded = *other;
                    *about.write().unwrap_or_else(PoisonError::into_inner) = loaded.about();
                }
                // Made for the model of before, which took other features.
                Work::Extracted(job, spec, _) if spec != loaded.card.spec => {
                    let _ = again.try_send(job);
                }
                Work::Extracted(job, _, features) => ready.push((job, features)),
            }
        }
        answer(&loaded, ready, metrics);
    }
}

fn answer(loaded: &Loaded, ready: Vec<(Job, Box<Features>)>, metrics: &Metrics) {
    if ready.is_empty() {
        return;
    }
    let start = Instant::now();
    let mut taken = loaded.estimator.taker().start(ready.len());
    let mut warnings = Vec::new();
    for (job, features) in &ready {
        let recording = Recording { gender: job.gender.into(), ..Recording::default() };
        let imputed = taken.push(&Example::of(&recording, features));
        let odd = features.warnings.iter().map(|warning| warning.code().to_owned());
        let imputed = imputed.into_iter().map(|name| format!("imputed: {name}"));
        warnings.push(odd.chain(imputed).collect::<Vec<_>>());
    }
    let estimates = caught(|| loaded.estimator.estimates(&taken));
    metrics.took(Stage::Predict, start.elapsed());
    let estimates = match estimates {
        Ok(estimates) => estimates,
        Err(error) => {
            for (job, _) in ready {
                let reject = Reject::new("predict", "failed", error.to_string());
                drop(job.answer.send(Err(reject)));
            }
            return;
        }
    };
    for (((job, features), estimate), warnings) in ready.into_iter().zip(estimates).zip(warnings) {
        let conformal = loaded.card.conformal.as_ref();
        drop(job.answer.send(Ok(Answer {
            age: estimate.age,
            interval: conformal.map(|conformal| conformal.interval(estimate)),
            warnings,
            model: loaded.key.clone(),
            duration_s: features.audio.duration_s,
        })));
    }
}
