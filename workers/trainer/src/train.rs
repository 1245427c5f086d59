//! Training and evaluation requests, from the store and back into it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use voxage_contract::training::{
    Access, EvaluateRequest, Evaluated, Evaluation, Event, TrainRequest, TrainSettings, Trained,
};
use voxage_contract::{keys, spec::EXTRACTOR_VERSION};
use voxage_dataset::{Dataset, SplitRule};
use voxage_transport::{Store, StoreExt as _};

use crate::evaluate::evaluate;
use crate::fit::{self, Bench};
use crate::models::{Card, Models};
use crate::network::Network;
use crate::run::Run;
use crate::session::Session;
use crate::{Error, Result, store};

/// Between two looks at a run that another process is at.
const AGAIN: Duration = Duration::from_secs(1);

/// How a training ended.
#[derive(Debug)]
pub enum End {
    /// It has a model.
    Trained(Box<Trained>),
    /// It was asked to stop after so many steps, and goes on from there when asked again.
    Interrupted {
        /// The run.
        run: String,
        /// Steps.
        step: u64,
    },
}

/// Fits a model to a sealed manifest, unless that very run has ended before; goes on where
/// another process has left it.
///
/// # Errors
/// If there is nothing to learn from, another process is at it, or the store fails.
pub fn train(
    request: &TrainRequest,
    runtime: &Handle,
    stop: &AtomicBool,
    say: &mut dyn FnMut(Event),
) -> Result<End> {
    let store = runtime.block_on(store::open(&request.root, &request.access))?;
    let id = request.run_id();
    if let Some(trained) = ended(&*store, runtime, &id)? {
        say(Event::Note { message: format!("run {id} has ended before: its model is used") });
        return Ok(End::Trained(Box::new(trained)));
    }
    put_json(&*store, runtime, &keys::run(&id, "request.json"), request)?;
    let mut told = false;
    let mut run = loop {
        match Run::begin(&id, &store, runtime, &request.upkeep) {
            Err(Error::Busy { holder, .. }) if request.patient && !stop.load(Ordering::Relaxed) => {
                if !std::mem::replace(&mut told, true) {
                    let message = format!("run {id} is being trained by {holder}: waiting for it");
                    say(Event::Note { message });
                }
                std::thread::sleep(AGAIN);
            }
            begun => break begun?,
        }
    };
    let end = carry_out(request, &store, runtime, &mut run, stop, say);
    let left = run.end();
    let end = end?;
    left?;
    Ok(end)
}

/// The result of a run that has ended.
fn ended(store: &dyn Store, runtime: &Handle, run: &str) -> Result<Option<Trained>> {
    let key = keys::run(run, "result.json");
    let bytes = runtime.block_on(store.get_opt(&key))?;
    let parse = |bytes: bytes::Bytes| serde_json::from_slice(&bytes);
    bytes.map(parse).transpose().map_err(|error| Error::damaged(&key, error))
}

fn carry_out(
    request: &TrainRequest,
    store: &Arc<dyn Store>,
    runtime: &Handle,
    run: &mut Run,
    stop: &AtomicBool,
    say: &mut dyn FnMut(Event),
) -> Result<End> {
    let id = request.run_id();
    // Another may have ended it before this one had the lease.
    if let Some(trained) = ended(&**store, runtime, &id)? {
        return Ok(End::Trained(Box::new(trained)));
    }
    let (settings, loader_threads) = (&request.settings, request.upkeep.loader_threads);
    let place = (&*request.root, &request.access);
    let dataset = open(store, runtime, place, &request.manifest, settings)?;
    let unpack = |key: &str, bytes: &[u8]| Session::unpack(settings, key, bytes);
    let newest = run.newest(unpack, |message| say(Event::Note { message }))?;
    let mut session = match newest {
        Some(session) => {
            let message = format!("run {id} goes on from step {}", session.position.step);
            say(Event::Note { message });
            session
        }
        None => fit::start(&dataset, settings, loader_threads)?,
    };
    let mut bench = Bench { dataset: &dataset, run, upkeep: &request.upkeep, stop, say };
    if !fit::fit(&mut session, &mut bench)? {
        return Ok(End::Interrupted { run: id, step: session.position.step });
    }
    run.finish_writing()?;
    Ok(End::Trained(Box::new(conclude(request, store, runtime, &dataset, session)?)))
}

/// Measures and saves what a training came to.
fn conclude(
    request: &TrainRequest,
    store: &Arc<dyn Store>,
    runtime: &Handle,
    dataset: &Dataset,
    session: Session,
) -> Result<Trained> {
    let run = request.run_id();
    let (training, position) = (session.training, session.position.clone());
    let network = session.into_best();
    let measured = (dataset, &network, request.upkeep.loader_threads);
    let (evaluation, predictions) =
        measure(measured, training.mean_age, (&**store, runtime), &run, &request.manifest)?;
    let (format, voxage) = Card::this_format();
    let manifest = dataset.manifest();
    let (validation_rmse, best_epoch) = (position.best_rmse(), position.best_epoch);
    let epochs = position.epochs.len() as u64;
    let card = Card {
        format,
        voxage,
        run: run.clone(),
        manifest: request.manifest.clone(),
        spec: manifest.spec.clone(),
        spec_id: manifest.spec_id.clone(),
        extractor_version: EXTRACTOR_VERSION,
        settings: request.settings.clone(),
        training,
        scaler: network.inputs.scaler.clone(),
        best_epoch,
        evaluation: evaluation.clone(),
        epochs: position.epochs,
    };
    let model = Models { store: &**store, runtime }.save(&request.model, &card, &network)?;
    let trained = Trained {
        run: run.clone(),
        model,
        epochs,
        best_epoch,
        validation_rmse,
        evaluation,
        predictions,
    };
    put_json(&**store, runtime, &keys::run(&run, "result.json"), &trained)?;
    Ok(trained)
}

/// Measures a model on the test split of a sealed manifest.
///
/// # Errors
/// If there is no such model or manifest, or they do not fit.
pub fn evaluate_model(request: &EvaluateRequest, runtime: &Handle) -> Result<Evaluated> {
    let store = runtime.block_on(store::open(&request.root, &request.access))?;
    let models = Models { store: &*store, runtime };
    let model = models.find(&request.model)?;
    let (card, network) = models.load(&model)?;
    let manifest = request.manifest.clone().unwrap_or_else(|| card.manifest.clone());
    let place = (&*request.root, &request.access);
    let dataset = open(&store, runtime, place, &manifest, &card.settings)?;
    let found = &dataset.manifest().spec_id;
    if *found != card.spec_id {
        let (trained, found) = (card.spec_id.to_string(), found.to_string());
        return Err(Error::OtherFeatures { model, trained, found });
    }
    let mean_age = card.training.mean_age;
    let measured = (&dataset, &network, card.settings.threads);
    let (evaluation, predictions) =
        measure(measured, mean_age, (&*store, runtime), &card.run, &manifest)?;
    Ok(Evaluated { model, manifest, evaluation, predictions })
}

fn open(
    store: &Arc<dyn Store>,
    runtime: &Handle,
    (root, access): (&str, &Access),
    manifest: &str,
    settings: &TrainSettings,
) -> Result<Dataset> {
    let rule = SplitRule { validation: settings.validation_share, test: settings.test_share };
    let cache = store::cache(root, access)?;
    Ok(Dataset::open(Arc::clone(store), runtime, manifest, rule, cache)?)
}

/// Measures a network and keeps its predictions; gives their key.
fn measure(
    (dataset, network, loader_threads): (&Dataset, &Network, usize),
    mean_age: f64,
    (store, runtime): (&dyn Store, &Handle),
    run: &str,
    manifest: &str,
) -> Result<(Evaluation, String)> {
    let (evaluation, table) = evaluate(dataset, network, mean_age, loader_threads)?;
    let name = manifest.replace('/', "-");
    let key = keys::run(run, &format!("predictions/{}.csv", name.trim_end_matches(".json")));
    runtime.block_on(store.put_new(&key, table.into()))?;
    Ok((evaluation, key))
}

fn put_json(
    store: &dyn Store,
    runtime: &Handle,
    key: &str,
    value: &impl serde::Serialize,
) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| Error::damaged(key, error))?;
    runtime.block_on(store.put_new(key, bytes.into()))?;
    Ok(())
}
