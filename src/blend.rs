//! `voxage models blend`: several versions as one.

use anyhow::{Result, bail};
use voxage_contract::training::{
    Architecture, BlendPart, Request, TrainRequest, TrainSettings, Upkeep,
};
use voxage_contract::{Name, keys};
use voxage_coordinator::registry::{self, Card};
use voxage_transport::Store;

use crate::{Call, report, train};

/// Makes a version of `--model` of others, and measures it on the speakers that they hold out.
pub async fn make(call: &Call, store: &dyn Store, versions: &[(Name, u64)]) -> Result<()> {
    let settings = &call.resolved.settings;
    let weights = shares(call.matches.get_many("weights"), versions.len())?;
    let mut cards = Vec::new();
    for (model, number) in versions {
        cards.push(registry::card(store, model, *number).await?);
        if let Err(why) = fits(&cards[0], &cards[cards.len() - 1]) {
            bail!("{model}@{number} {why}");
        }
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

/// Whether a version can be a member beside another.
fn fits(first: &Card, other: &Card) -> Result<(), &'static str> {
    if other.settings.architecture == Architecture::Blend {
        return Err("is a blend itself: name its members instead");
    }
    if other.spec_id != first.spec_id {
        return Err("takes other features than the first: members take the same");
    }
    let held_out = |card: &Card| (keys::dataset_of(&card.manifest), card.settings.test_share);
    if held_out(other) != held_out(first) {
        return Err("holds other speakers out than the first: it may have heard those that \
                    would measure the blend. Members are of one data set and test_share");
    }
    if other.settings.coverage != first.settings.coverage {
        return Err("has intervals of another coverage than the first");
    }
    Ok(())
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
