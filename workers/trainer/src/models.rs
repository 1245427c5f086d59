//! Model versions in the store: `models/<model>/versions/<n>/`.
//!
//! Always holds: a version is its weights and its card; the card comes last, so a version
//! with a card is whole.

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use voxage_contract::spec::EXTRACTOR_VERSION;
use voxage_contract::training::{Evaluation, Promotion, TrainSettings};
use voxage_contract::{FeatureSpec, Name, SpecId, keys};
use voxage_transport::{Put, Store, StoreExt as _};

use crate::blend::{Blend, Member};
use crate::conformal::Conformal;
use crate::estimator::Estimator;
use crate::scaler::Scaler;
use crate::session::{Epoch, Training};
use crate::{Error, Result};

/// The card that this build writes and the highest that it reads.
const CARD_FORMAT: u32 = 1;

const CARD: &str = "card.json";
/// The name of each of so many files of weights.
fn weights(n: usize) -> Vec<String> {
    match n {
        0 | 1 => vec!["weights.safetensors".into()],
        _ => (1..=n).map(|i| format!("weights-{i:02}.safetensors")).collect(),
    }
}

/// Everything about a model version but its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// 1; a reader refuses a higher one.
    pub format: u32,
    /// The run that made it.
    pub run: String,
    /// Version of voxage that made it.
    pub voxage: String,
    /// Key of the sealed manifest that it was trained on.
    pub manifest: String,
    /// Features that it takes.
    pub spec: FeatureSpec,
    /// Their id, under `extractor_version`.
    pub spec_id: SpecId,
    /// Version of the extractor that made its training features.
    pub extractor_version: u32,
    /// Architecture, sizes, seed and all that the training depended on.
    pub settings: TrainSettings,
    /// What it is made of; empty unless it is a blend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// What it was fitted to.
    pub training: Training,
    /// From raw inputs to a network's; none if it is no network.
    #[serde(default)]
    pub scaler: Option<Scaler>,
    /// How wide prediction intervals are; none if there was nothing to calibrate on.
    #[serde(default)]
    pub conformal: Option<Conformal>,
    /// Each pass over the training split.
    pub epochs: Vec<Epoch>,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: u64,
    /// How it does on the test split.
    pub evaluation: Evaluation,
}

/// The models of a store.
#[derive(Debug, Clone, Copy)]
pub struct Models<'a> {
    /// Where they are.
    pub store: &'a dyn Store,
    /// Runs the store's calls.
    pub runtime: &'a Handle,
}

impl Card {
    /// The voxage that writes cards now.
    #[must_use]
    pub fn this_format() -> (u32, String) {
        (CARD_FORMAT, env!("CARGO_PKG_VERSION").to_owned())
    }
}

impl Models<'_> {
    /// Saves a version under the next free number and gives its key.
    ///
    /// # Errors
    /// If the store fails.
    pub fn save(self, model: &Name, card: &Card, estimator: &Estimator) -> Result<String> {
        let files = estimator.files()?;
        let card = serde_json::to_vec_pretty(card).map_err(|e| Error::damaged(CARD, e))?;
        let prefix = keys::versions(model);
        let last = self.runtime.block_on(self.store.keys(&prefix))?;
        let last = last.iter().filter_map(|key| keys::number_of(key, &prefix)).max();
        // A run that died between weights and card left a number with weights only, and a
        // twin of it may be at work: the same run makes the same weights, and takes that
        // number up.
        let mut number = last.unwrap_or(0).max(1);
        loop {
            let version = keys::version(model, number);
            let mut all = weights(files.len()).into_iter().zip(&files);
            let whole = all.try_fold(true, |whole, (name, bytes)| {
                Ok::<_, Error>(whole && self.put(&format!("{version}{name}"), bytes)?)
            })?;
            if whole && self.put(&format!("{version}{CARD}"), &card)? {
                return Ok(version);
            }
            number += 1;
        }
    }

    /// Whether an object holds these bytes now.
    fn put(self, key: &str, bytes: &[u8]) -> Result<bool> {
        match self.runtime.block_on(self.store.put_new(key, bytes.to_vec().into()))? {
            Put::Created => Ok(true),
            Put::Exists => Ok(self.runtime.block_on(self.store.get(key))? == bytes),
        }
    }

    /// The key of a model version: `model` is one, or a model's name for its champion, or
    /// its newest version before there is a champion, or `name@number`, or `name@newest`.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(self, model: &str) -> Result<String> {
        let missing = || Error::NoModel(model.to_owned());
        let version = if model.contains('/') {
            format!("{}/", model.trim_end_matches('/'))
        } else {
            let (name, number) = model.split_once('@').unwrap_or((model, ""));
            let name = name.parse().map_err(|_| missing())?;
            match number {
                "" => match self.champion(&name)? {
                    Some(number) => keys::version(&name, number),
                    None => self.newest(&name)?.ok_or_else(missing)?,
                },
                "newest" => self.newest(&name)?.ok_or_else(missing)?,
                number => keys::version(&name, number.parse().map_err(|_| missing())?),
            }
        };
        let whole = self.runtime.block_on(self.store.exists(&format!("{version}{CARD}")))?;
        if whole { Ok(version) } else { Err(missing()) }
    }

    /// Loads the version that a model is, and gives its key.
    ///
    /// # Errors
    /// As [`find`](Self::find) and [`load`](Self::load).
    pub fn open(self, model: &str) -> Result<(String, Card, Estimator)> {
        let version = self.find(model)?;
        let (card, estimator) = self.load(&version)?;
        Ok((version, card, estimator))
    }

    /// The number of a model's champion, if it has one.
    fn champion(self, model: &Name) -> Result<Option<u64>> {
        let all = self.runtime.block_on(self.store.keys(&keys::champions(model)))?;
        let Some(key) = all.last() else { return Ok(None) };
        let bytes = self.runtime.block_on(self.store.get(key))?;
        let promotion: Promotion =
            serde_json::from_slice(&bytes).map_err(|error| Error::damaged(key, error))?;
        Ok(Some(promotion.version))
    }

    /// The key of a model's newest version, if it has one.
    fn newest(self, model: &Name) -> Result<Option<String>> {
        let all = self.runtime.block_on(self.store.keys(&keys::versions(model)))?;
        let card = all.iter().rfind(|key| key.ends_with(CARD));
        Ok(card.map(|card| card.trim_end_matches(CARD).to_owned()))
    }

    /// The card of the version at a key.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn card(self, version: &str) -> Result<Card> {
        let key = format!("{version}{CARD}");
        let bytes = self.runtime.block_on(self.store.get(&key))?;
        let card: Card = serde_json::from_slice(&bytes).map_err(|e| Error::damaged(&key, e))?;
        if card.format > CARD_FORMAT {
            return Err(Error::damaged(&key, "it was written by a newer voxage: upgrade this one"));
        }
        Ok(card)
    }

    /// Loads the version at a key.
    ///
    /// # Errors
    /// If it is damaged, or takes features that this build does not make.
    pub fn load(self, version: &str) -> Result<(Card, Estimator)> {
        let card = self.card(version)?;
        if card.spec.id() != card.spec_id {
            return Err(Error::OtherFeatures {
                model: version.to_owned(),
                trained: format!(
                    "{} of extractor version {}",
                    card.spec_id, card.extractor_version
                ),
                found: format!("{} of extractor version {EXTRACTOR_VERSION}", card.spec.id()),
            });
        }
        let mut files = Vec::new();
        for name in weights(card.members.len()) {
            let key = format!("{version}{name}");
            let bytes = self.runtime.block_on(self.store.get(&key))?;
            files.push((key, bytes));
        }
        let estimator = match &files[..] {
            [(key, bytes)] => Estimator::load(&card.settings, card.scaler.clone(), key, bytes)?,
            files => Estimator::Blend(Blend::load(&card.members, files)?),
        };
        Ok((card, estimator))
    }
}
