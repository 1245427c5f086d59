//! Predicting recordings from their audio.
//!
//! Always holds: predictions come in the order of the recordings; memory is one chunk of
//! them. A recording that cannot be predicted says why and stops nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio::runtime::Handle;
use voxage_contract::training::{Event, PredictRequest, PredictShardsRequest, Prediction};
use voxage_contract::{Features, Recording, Reject, SealedManifest};
use voxage_extract::Extractor;
use voxage_transport::source::Sources;

use crate::conformal::Conformal;
use crate::estimator::{Estimates as _, Estimator};
use crate::inputs::Example;
use crate::models::Models;
use crate::{Error, Result, store};

/// Recordings that are extracted, then predicted, at a time.
const CHUNK: usize = 64;

/// Where recordings are read from.
struct Audio<'a> {
    root: &'a str,
    sources: Sources,
    limit_bytes: u64,
    runtime: &'a Handle,
}

/// Predicts recordings as they come and gives the key of the model version used.
///
/// # Errors
/// If there is no such model, or a recording cannot be read from the request.
pub fn predict(
    request: &PredictRequest,
    mut recordings: impl Iterator<Item = Result<Recording>>,
    runtime: &Handle,
    say: &mut dyn FnMut(Event),
) -> Result<String> {
    let store = runtime.block_on(store::open(&request.root, &request.access))?;
    let (model, card, estimator) = Models { store: &*store, runtime }.open(&request.model)?;
    let extractors = (0..request.slots.max(1)).map(|_| Extractor::new(&card.spec));
    let mut extractors = extractors.collect::<Result<Vec<_>, _>>()?;
    let audio = Audio {
        root: &request.audio_root,
        sources: Sources::any().with_s3(store::s3(&request.access)),
        limit_bytes: card.spec.limits.mib.saturating_mul(1 << 20),
        runtime,
    };
    loop {
        let chunk = recordings.by_ref().take(CHUNK).collect::<Result<Vec<_>>>()?;
        if chunk.is_empty() {
            return Ok(model);
        }
        let extracted = extract(&chunk, &audio, &mut extractors);
        for prediction in predictions(&chunk, extracted, &estimator, card.conformal.as_ref())? {
            say(Event::Prediction(prediction));
        }
    }
}

/// Predicts the recordings of shards, shard by shard, and gives the key of the model version
/// used.
///
/// # Errors
/// If there is no such model, manifest or shard, or the features are others than the model's.
pub fn predict_shards(
    request: &PredictShardsRequest,
    runtime: &Handle,
    say: &mut dyn FnMut(Event),
) -> Result<String> {
    let store = runtime.block_on(store::open(&request.root, &request.access))?;
    let (model, card, estimator) = Models { store: &*store, runtime }.open(&request.model)?;
    let bytes = runtime.block_on(store.get(&request.manifest))?;
    let sealed: SealedManifest =
        serde_json::from_slice(&bytes).map_err(|error| Error::damaged(&request.manifest, error))?;
    if sealed.spec_id != card.spec_id {
        let (trained, found) = (card.spec_id.to_string(), sealed.spec_id.to_string());
        return Err(Error::OtherFeatures { model, trained, found });
    }
    for shard in &request.shards {
        let rows = runtime.block_on(voxage_dataset::rows(&*store, &sealed, shard))?;
        let (recordings, mut features): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        for chunk in recordings.chunks(CHUNK) {
            let features = features.drain(..chunk.len()).collect();
            for prediction in predictions(chunk, features, &estimator, card.conformal.as_ref())? {
                say(Event::Prediction(prediction));
            }
        }
        say(Event::ShardPredicted { shard: shard.clone() });
    }
    Ok(model)
}

/// The features of a chunk, in its order, by as many threads as there are extractors.
fn extract(
    chunk: &[Recording],
    audio: &Audio<'_>,
    extractors: &mut [Extractor],
) -> Vec<Result<Features, Reject>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for extractor in extractors {
            let (next, done) = (&next, &done);
            scope.spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(recording) = chunk.get(i) else { return };
                    let features = one(recording, audio, extractor);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((i, features));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, features)| features).collect()
}

fn one(
    recording: &Recording,
    audio: &Audio<'_>,
    extractor: &mut Extractor,
) -> Result<Features, Reject> {
    if let Some(reject) = &recording.reject {
        return Err(reject.clone());
    }
    let opened = audio.sources.open(audio.root, &recording.path, None, audio.limit_bytes);
    let opened = audio.runtime.block_on(opened);
    let bytes =
        opened.map_err(|error| Reject::new("fetch", "unreadable_audio", error.to_string()))??;
    extractor.extract(bytes, &recording.given)
}

/// Predicts what could be extracted and says why the rest could not.
fn predictions(
    chunk: &[Recording],
    extracted: Vec<Result<Features, Reject>>,
    estimator: &Estimator,
    conformal: Option<&Conformal>,
) -> Result<Vec<Prediction>> {
    let mut predictions = Vec::with_capacity(chunk.len());
    let mut taken = estimator.taker().start(chunk.len());
    for (recording, features) in chunk.iter().zip(extracted) {
        let mut prediction = Prediction {
            id: recording.id.clone(),
            path: recording.path.clone(),
            age: None,
            interval: None,
            warnings: recording.warnings.clone(),
        };
        match features {
            Err(reject) => prediction.warnings.push(format!("{}: {}", reject.code, reject.message)),
            Ok(features) => {
                let example = Example::of(recording, &features);
                prediction.warnings.extend(features.warnings.iter().map(|w| w.code().to_owned()));
                let imputed = taken.push(&example).into_iter();
                prediction.warnings.extend(imputed.map(|name| format!("imputed: {name}")));
                prediction.age = Some(f64::NAN);
            }
        }
        predictions.push(prediction);
    }
    let predicted = predictions.iter_mut().filter(|prediction| prediction.age.is_some());
    for (prediction, estimate) in predicted.zip(estimator.estimates(&taken)?) {
        prediction.age = Some(estimate.age);
        prediction.interval = conformal.map(|conformal| conformal.interval(estimate));
    }
    Ok(predictions)
}
