//! The versions of a model, and which of them is the champion: the one that predicts.
//!
//! Always holds: versions and promotions are numbered objects that are never changed; the
//! highest promotion is in force, and going back is one more promotion.

mod gate;

use serde::{Deserialize, Serialize};
use voxage_contract::training::{Evaluation, Promotion, Reason, TrainSettings};
use voxage_contract::{FeatureSpec, Name, SealedManifest, SpecId, keys};
use voxage_transport::{Put, Store, StoreExt as _};

pub use gate::{Check, Decision, Gate, decide};

use crate::schedule::Instant;
use crate::{Error, Result};

/// What the card of a version says that others than the trainer care for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The run that made it.
    pub run: String,
    /// Version of voxage that made it.
    pub voxage: String,
    /// Key of the sealed manifest that it was trained on.
    pub manifest: String,
    /// Features that it takes.
    pub spec: FeatureSpec,
    /// Their id.
    pub spec_id: SpecId,
    /// Version of the extractor that made its training features.
    pub extractor_version: u32,
    /// All that the training depended on.
    pub settings: TrainSettings,
    /// How it does on held-out speakers.
    pub evaluation: Evaluation,
}

/// A version of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Version {
    /// The model.
    pub model: Name,
    /// Its number.
    pub number: u64,
    /// Whether it is the champion.
    pub champion: bool,
    /// Its card.
    pub card: Card,
}

/// The card of a version.
///
/// # Errors
/// If there is no such version, or its card is damaged.
pub async fn card(store: &dyn Store, model: &Name, version: u64) -> Result<Card> {
    let key = format!("{}card.json", keys::version(model, version));
    let bytes = store.get_opt(&key).await?;
    let bytes = bytes.ok_or_else(|| Error::NoVersion(format!("{model}@{version}")))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::damaged(&key, error))
}

/// The key of a model's champion, if it has one.
///
/// # Errors
/// As [`history`].
pub async fn champion_key(store: &dyn Store, model: &Name) -> Result<Option<String>> {
    let champion = champion(store, model).await?;
    Ok(champion.map(|champion| keys::version(model, champion.version)))
}

/// The key of the version that is named by a model's name (its champion; before there is one,
/// its newest), `name@number`, `name@newest`, or that key; none if there is none.
///
/// # Errors
/// If the store fails, or a promotion is damaged.
pub async fn find(store: &dyn Store, model: &str) -> Result<Option<String>> {
    let version = if model.contains('/') {
        format!("{}/", model.trim_end_matches('/'))
    } else {
        let (name, number) = model.split_once('@').unwrap_or((model, ""));
        let Ok(name) = name.parse() else { return Ok(None) };
        let champion = champion_key(store, &name).await?.filter(|_| number.is_empty());
        match (champion, number) {
            (Some(champion), _) => champion,
            (None, "" | "newest") => {
                let all = store.keys(&keys::versions(&name)).await?;
                let newest = all.iter().rev().find_map(|key| key.strip_suffix("card.json"));
                let Some(newest) = newest else { return Ok(None) };
                newest.to_owned()
            }
            (None, number) => match number.parse() {
                Ok(number) => keys::version(&name, number),
                Err(_) => return Ok(None),
            },
        }
    };
    Ok(store.exists(&format!("{version}card.json")).await?.then_some(version))
}

/// Whether what a version says of the test split of a sealed manifest is known, or can never
/// be, because the features are others.
///
/// # Errors
/// If the store fails, or there is no such version.
pub async fn is_measured(store: &dyn Store, version: &str, manifest: &str) -> Result<bool> {
    let place = keys::version_of(version);
    let (model, number) = place.ok_or_else(|| Error::NoVersion(version.to_owned()))?;
    let card = card(store, &model, number).await?;
    if store.exists(&keys::predictions(&card.run, manifest)).await? {
        return Ok(true);
    }
    let bytes = store.get(manifest).await?;
    let sealed: SealedManifest =
        serde_json::from_slice(&bytes).map_err(|error| Error::damaged(manifest, error))?;
    Ok(sealed.spec_id != card.spec_id)
}

/// The versions of a model, or of all, in the order of names and numbers.
///
/// # Errors
/// If the store fails or a card is damaged.
pub async fn versions(store: &dyn Store, model: Option<&Name>) -> Result<Vec<Version>> {
    let folder = model.map_or_else(|| keys::MODELS.to_owned(), keys::versions);
    let mut all = Vec::new();
    for key in store.keys(&folder).await? {
        if let Some((model, number)) = keys::version_of(&key)
            && key.ends_with("/card.json")
        {
            let card = card(store, &model, number).await?;
            all.push(Version { model, number, champion: false, card });
        }
    }
    let mut champions = std::collections::BTreeMap::new();
    for version in &mut all {
        if !champions.contains_key(&version.model) {
            let champion = champion(store, &version.model).await?;
            champions.insert(version.model.clone(), champion.map(|champion| champion.version));
        }
        version.champion = champions[&version.model] == Some(version.number);
    }
    Ok(all)
}

/// The promotions of a model, oldest first; the last is in force.
///
/// # Errors
/// If the store fails or one is damaged.
pub async fn history(store: &dyn Store, model: &Name) -> Result<Vec<Promotion>> {
    let mut all = Vec::new();
    for key in store.keys(&keys::champions(model)).await? {
        let bytes = store.get(&key).await?;
        all.push(serde_json::from_slice(&bytes).map_err(|error| Error::damaged(&key, error))?);
    }
    Ok(all)
}

/// The promotion in force; none before the first.
///
/// # Errors
/// As [`history`].
pub async fn champion(store: &dyn Store, model: &Name) -> Result<Option<Promotion>> {
    let Some(key) = store.keys(&keys::champions(model)).await?.pop() else { return Ok(None) };
    let bytes = store.get(&key).await?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::damaged(&key, error))
}

/// Makes a version the champion.
///
/// # Errors
/// If there is no such version, it is the champion, somebody promoted another meanwhile, or
/// the store fails.
pub async fn promote(
    store: &dyn Store,
    model: &Name,
    version: u64,
    reason: Reason,
    decision: Option<&Decision>,
    now: Instant,
) -> Result<Promotion> {
    card(store, model, version).await?;
    let folder = keys::version(model, version);
    let files = store.keys(&folder).await?;
    if !files.iter().any(|key| key.starts_with(&format!("{folder}weights"))) {
        return Err(Error::damaged(&folder, "its weights are not there: train it again"));
    }
    let history = history(store, model).await?;
    if history.last().is_some_and(|last| last.version == version) {
        return Err(Error::Registry(format!("{model}@{version} is the champion already")));
    }
    let decision = decision.map(serde_json::to_value).transpose();
    let decision = decision.map_err(|error| Error::damaged("a decision", error))?;
    let promotion = Promotion { version, at_unix_s: now.0, reason, decision };
    put(store, model, history.len() as u64 + 1, &promotion).await?;
    Ok(promotion)
}

/// Whether a version was the champion and somebody went back behind it, after which nobody
/// made it the champion by hand.
pub(crate) fn was_taken_back(history: &[Promotion], version: u64) -> bool {
    let (mut standing, mut taken_back) = (Vec::new(), false);
    for promotion in history {
        match promotion.reason {
            Reason::Rollback => taken_back |= standing.pop() == Some(version),
            _ => standing.push(promotion.version),
        }
        if promotion.version == version && promotion.reason == Reason::Hand {
            taken_back = false;
        }
    }
    taken_back
}

/// Makes the champion of before the champion again.
///
/// # Errors
/// If there was none, or as [`promote`].
pub async fn rollback(store: &dyn Store, model: &Name, now: Instant) -> Result<Promotion> {
    let history = history(store, model).await?;
    let mut standing: Vec<u64> = Vec::new();
    for promotion in &history {
        match promotion.reason {
            Reason::Rollback => drop(standing.pop()),
            _ => standing.push(promotion.version),
        }
    }
    standing.pop();
    let before = standing.pop().ok_or_else(|| {
        Error::Registry(format!("model '{model}' had no champion before: there is no way back"))
    })?;
    promote(store, model, before, Reason::Rollback, None, now).await
}

/// Carries out what the gate decided, if the champion is still the one that it compared with.
pub(crate) async fn promote_by_gate(
    store: &dyn Store,
    model: &Name,
    decision: &Decision,
    now: Instant,
) -> Result<()> {
    let champion = champion(store, model).await?.map(|champion| champion.version);
    if champion == Some(decision.candidate) {
        // Whoever decided this has died after he promoted it.
        return Ok(());
    }
    if champion != decision.champion {
        return Err(Error::Registry(format!(
            "{model}@{} was compared with {}, but somebody made another version the champion: \
             look at `voxage models history {model}`, and retry",
            decision.candidate,
            decision.champion.map_or("none".to_owned(), |version| format!("{model}@{version}")),
        )));
    }
    promote(store, model, decision.candidate, Reason::Gate, Some(decision), now).await.map(|_| ())
}

async fn put(store: &dyn Store, model: &Name, number: u64, promotion: &Promotion) -> Result<()> {
    let key = keys::champion(model, number);
    let bytes = serde_json::to_vec_pretty(promotion).map_err(|e| Error::damaged(&key, e))?;
    match store.put_new(&key, bytes.into()).await? {
        Put::Created => Ok(()),
        Put::Exists => Err(Error::Registry(format!(
            "model '{model}' was given another champion meanwhile: look at \
             `voxage models history {model}`, and try again"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rolled_back_stays_so_until_somebody_wants_it() {
        let history = |promotions: &[(u64, Reason)]| -> Vec<Promotion> {
            let one =
                |&(version, reason)| Promotion { version, at_unix_s: 0, reason, decision: None };
            promotions.iter().map(one).collect()
        };
        let mut all = vec![(1, Reason::Gate), (2, Reason::Gate), (1, Reason::Rollback)];
        assert!(was_taken_back(&history(&all), 2));
        assert!(!was_taken_back(&history(&all), 1));
        all.push((3, Reason::Gate));
        assert!(was_taken_back(&history(&all), 2));
        all.push((2, Reason::Hand));
        assert!(!was_taken_back(&history(&all), 2));
        all.push((3, Reason::Rollback));
        assert!(was_taken_back(&history(&all), 2) && !was_taken_back(&history(&all), 3));
    }
}
