//! Measures of models, in the store.
//!
//! Always holds: no model is measured on speakers whom it has learned from in this data set.

use std::sync::Arc;

use tokio::runtime::Handle;
use voxage_contract::SealedManifest;
use voxage_contract::keys::{self, dataset_of};
use voxage_contract::training::{
    Access, EvaluateRequest, Evaluated, Evaluation, Event, Fold, TrainRequest, TrainSettings,
};
use voxage_dataset::{Dataset, SplitRule};
use voxage_transport::{Store, StoreExt as _};

use crate::conformal::Conformal;
use crate::estimator::Estimates;
use crate::evaluate::evaluate;
use crate::models::{Card, Models};
use crate::{Error, Result, store};

/// Measures a model on the test split of a sealed manifest.
///
/// # Errors
/// If there is no such model or manifest, or they do not fit.
pub fn evaluate_model(
    request: &EvaluateRequest,
    runtime: &Handle,
    say: &mut dyn FnMut(Event),
) -> Result<Evaluated> {
    let store = runtime.block_on(store::open(&request.root, &request.access))?;
    let models = Models { store: &*store, runtime };
    let (model, card, estimator) = models.open(&request.model)?;
    // Other threads add up in another order.
    tch::set_num_threads(card.settings.threads as i32);
    let manifest = request.manifest.clone().unwrap_or_else(|| card.manifest.clone());
    let place = (&*request.root, &request.access);
    let mut dataset = open(&store, runtime, place, &manifest, &card.settings, None)?;
    let found = &dataset.manifest().spec_id;
    if *found != card.spec_id {
        let (trained, found) = (card.spec_id.to_string(), found.to_string());
        return Err(Error::OtherFeatures { model, trained, found });
    }
    let members = card.members.iter().map(|member| models.card(&member.version));
    let members = members.collect::<Result<Vec<_>>>()?;
    let cards = members.iter().chain([&card]);
    leave_out(&mut dataset, &manifest, cards, (&store, runtime, place), say)?;
    // The one that stands in its card: so the same recordings have the same scores.
    let mean_age = card.evaluation.test.baseline.age;
    let conformal = card.conformal.as_ref();
    let measured = (&dataset, &estimator as &dyn Estimates, conformal, card.settings.threads);
    let (mut evaluation, predictions) =
        measure(measured, mean_age, (&*store, runtime), &card.run, &manifest)?;
    if manifest == card.manifest {
        evaluation.ridge = card.evaluation.ridge;
    }
    Ok(Evaluated { model, manifest, evaluation, predictions })
}

/// Opens a sealed manifest as a training with these settings sees it.
pub(crate) fn open(
    store: &Arc<dyn Store>,
    runtime: &Handle,
    (root, access): (&str, &Access),
    manifest: &str,
    settings: &TrainSettings,
    fold: Option<Fold>,
) -> Result<Dataset> {
    let rule = SplitRule::of(settings, fold);
    let cache = store::cache(root, access)?;
    Ok(Dataset::open(Arc::clone(store), runtime, manifest, rule, cache)?)
}

/// Measures an estimator and keeps its predictions; gives their key.
pub(crate) fn measure(
    (dataset, estimator, conformal, threads): (&Dataset, &dyn Estimates, Option<&Conformal>, usize),
    mean_age: f64,
    (store, runtime): (&dyn Store, &Handle),
    run: &str,
    manifest: &str,
) -> Result<(Evaluation, String)> {
    let (evaluation, table) = evaluate(dataset, (estimator, conformal), mean_age, threads)?;
    let key = keys::predictions(run, manifest);
    runtime.block_on(store.put_new(&key, table.into()))?;
    Ok((evaluation, key))
}

/// A store, and where it is.
type At<'a> = (&'a Arc<dyn Store>, &'a Handle, (&'a str, &'a Access));

/// Leaves out of the test split whom these models have learned from, though it was submitted
/// since that they are for the test.
pub(crate) fn leave_out<'a>(
    dataset: &mut Dataset,
    manifest: &str,
    cards: impl Iterator<Item = &'a Card>,
    at: At<'_>,
    say: &mut dyn FnMut(Event),
) -> Result<()> {
    let mut left_out = 0;
    for card in cards {
        if let Some(earlier) = earlier(dataset, manifest, card, at)? {
            left_out += dataset.leave_out_known(&earlier)?;
        }
    }
    if left_out > 0 {
        let message = format!(
            "{left_out} recordings are for the test, but the model has learned from their speakers: \
             it is not measured on them"
        );
        say(Event::Note { message });
    }
    Ok(())
}

/// What a model was trained on, if speakers may stand elsewhere there: in versions of one data
/// set where nothing is submitted, all stand by hash, as ever.
pub(crate) fn earlier(
    dataset: &Dataset,
    manifest: &str,
    card: &Card,
    (store, runtime, place): At<'_>,
) -> Result<Option<Dataset>> {
    let same = dataset_of(manifest) == dataset_of(&card.manifest);
    if manifest == card.manifest || same && !dataset.has_submitted() {
        return Ok(None);
    }
    open(store, runtime, place, &card.manifest, &card.settings, None).map(Some)
}

/// Measures the version that the model will be compared with, unless that is done or it takes
/// other features: its predictions lie beside those of its own data set.
pub(crate) fn measure_other(
    request: &TrainRequest,
    store: &dyn Store,
    runtime: &Handle,
    say: &mut dyn FnMut(Event),
) -> Result<()> {
    let Some(other) = &request.against else { return Ok(()) };
    let models = Models { store, runtime };
    let card = models.card(other)?;
    let key = keys::predictions(&card.run, &request.manifest);
    let bytes = runtime.block_on(store.get(&request.manifest))?;
    let sealed: SealedManifest =
        serde_json::from_slice(&bytes).map_err(|error| Error::damaged(&request.manifest, error))?;
    if sealed.spec_id != card.spec_id || runtime.block_on(store.exists(&key))? {
        return Ok(());
    }
    let asked = EvaluateRequest {
        root: request.root.clone(),
        access: request.access.clone(),
        model: other.clone(),
        manifest: Some(request.manifest.clone()),
    };
    evaluate_model(&asked, runtime, say).map(|_| ())
}
