//! `voxage models blend`: several versions as one.

use anyhow::{Result, bail};
use voxage_contract::training::{
    Architecture, BlendPart, Request, TrainRequest, TrainSettings, Upkeep,
};
use voxage_contract::{Name, keys};
use voxage_coordinator::registry;
use voxage_transport::Store;

use crate::{Call, report, train};

/// Makes a version of `--model` of others, and measures it on the speakers that they hold out.
pub async fn make(call: &Call, store: &dyn Store, versions: &[(Name, u64)]) -> Result<()> {
    let settings = &call.resolved.settings;
    let weights = shares(call.matches.get_many("weights"), versions.len())?;
    let mut cards = Vec::new();
    for (model, number) in versions {
        cards.push(registry::card(store, model, *number).await?);
    }
    // Of several versions of the data, the one with the most recordings to be measured on.
    let newest = cards.iter().map(|card| &card.manifest).max();
    let (Some(manifest), Some(first)) = (newest, cards.first()) else { bail!("no versions") };
    let part = |((model, number), weight): (&(Name, u64), f64)| BlendPart {
        version: keys::version(model, *number),
        weight,
    };
    let model = settings.model.parse()?;
    let request = TrainRequest {
        root: settings.root.clone(),
        access: settings.access(),
        upkeep: Upkeep::default(),
        patient: true,
        manifest: manifest.clone(),
        against: registry::champion_key(store, &model).await?,
        model,
        fold: None,
        start: None,
        blend: versions.iter().zip(weights).map(part).collect(),
        settings: TrainSettings { architecture: Architecture::Blend, ..first.settings.clone() },
    };
    let request = Request::Train(Box::new(request));
    let made = train::trained(store, &request, &call.stop).await?;
    call.output.answer(&made, || {
        format!("model {}\n{}\n", made.model, report::evaluation(&made.evaluation))
    })
}

/// Weights as shares.
fn shares<'a>(given: Option<impl Iterator<Item = &'a f64>>, n: usize) -> Result<Vec<f64>> {
    let weights: Vec<f64> = given.map_or_else(|| vec![1.0; n], |given| given.copied().collect());
    let sum: f64 = weights.iter().sum();
    if weights.len() != n || !weights.iter().all(|weight| *weight > 0.0) || !sum.is_finite() {
        misuse!("--weights must be {n} numbers above 0, one for each version");
    }
    Ok(weights.into_iter().map(|weight| weight / sum).collect())
}
