//! Training and evaluation requests, from the store and back into it.

use std::sync::Arc;

use tokio::runtime::Handle;
use voxage_contract::training::{
    Access, EvaluateRequest, Evaluated, Evaluation, Event, TrainRequest, TrainSettings, Trained,
};
use voxage_contract::{keys, spec::EXTRACTOR_VERSION};
use voxage_dataset::{Dataset, SplitRule};
use voxage_transport::{Store, StoreExt as _};

use crate::evaluate::evaluate;
use crate::fit::{Fitted, fit};
use crate::models::{Card, Models};
use crate::network::Network;
use crate::{Error, Result, store};

/// Fits a model to a sealed manifest, unless that very run has ended before.
///
/// # Errors
/// If there is nothing to learn from, or the store fails.
pub fn train(
    request: &TrainRequest,
    runtime: &Handle,
    say: &mut dyn FnMut(Event),
) -> Result<Trained> {
    let store = runtime.block_on(store::open(&request.root, &request.access))?;
    let run = request.run_id();
    let result = keys::run(&run, "result.json");
    if let Some(bytes) = runtime.block_on(store.get_opt(&result))? {
        say(Event::Note { message: format!("run {run} has ended before: its model is used") });
        return serde_json::from_slice(&bytes).map_err(|error| Error::damaged(&result, error));
    }
    put_json(&*store, runtime, &keys::run(&run, "request.json"), request)?;
    let place = (&*request.root, &request.access);
    let dataset = open(&store, runtime, place, &request.manifest, &request.settings)?;
    let Fitted { network, training, epochs, best_epoch } = fit(&dataset, &request.settings, say)?;
    let (evaluation, predictions) = measure(
        &dataset,
        &network,
        training.mean_age,
        (&*store, runtime),
        &run,
        &request.manifest,
    )?;
    let (format, voxage) = Card::this_format();
    let manifest = dataset.manifest();
    let validation_rmse =
        epochs.iter().find(|epoch| epoch.epoch == best_epoch).map(|epoch| epoch.stopping_rmse);
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
        epochs,
    };
    let model = Models { store: &*store, runtime }.save(&request.model, &card, &network)?;
    let epochs = card.epochs.len() as u64;
    let trained =
        Trained { run, model, epochs, best_epoch, validation_rmse, evaluation, predictions };
    put_json(&*store, runtime, &result, &trained)?;
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
    let (evaluation, predictions) =
        measure(&dataset, &network, mean_age, (&*store, runtime), &card.run, &manifest)?;
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
    dataset: &Dataset,
    network: &Network,
    mean_age: f64,
    (store, runtime): (&dyn Store, &Handle),
    run: &str,
    manifest: &str,
) -> Result<(Evaluation, String)> {
    let (evaluation, table) = evaluate(dataset, network, mean_age)?;
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
