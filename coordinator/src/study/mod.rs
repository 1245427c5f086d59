//! Studies: a way of learning, measured on every recording of a data set by trainings that
//! have not heard its speaker.
//!
//! Always holds: everything follows from the request and the store. The trainings are runs
//! like any other, so a study that was cut off goes on with those that are missing; its
//! findings are written down once. It does not know how trainings are carried out.

mod baselines;
mod blend;
mod bootstrap;
mod cases;
mod cells;
mod compare;
mod coverage;
mod findings;
mod folds;
mod guesses;
mod leaks;
mod tune;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use voxage_contract::digest::Digest;
use voxage_contract::training::{Architecture, Fold, TrainRequest, TrainSettings, Trained};
use voxage_contract::{Name, keys};
use voxage_transport::{Store, StoreExt as _};

pub use blend::{Blended, Share, blend};
pub use bootstrap::Bounded;
pub(crate) use bootstrap::bounded;
pub use cases::{Case, cases};
pub use cells::{Cell, Cells};
pub use compare::{Comparison, compare};
pub use coverage::{Coverage, Held};
pub use findings::{Findings, Material, Measures, Rival, findings};
pub use guesses::{Guess, guesses};
pub use leaks::{Leak, Leaks};
pub use tune::{Search, Trial, Values};

use crate::{Error, Result};

/// The name that its trainings go by: they make no model.
const MODEL: &str = "study";

const REQUEST: &str = "request.json";
const RESULT: &str = "result.json";

/// What is to be measured, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Key of the sealed manifest.
    pub manifest: String,
    /// The way of learning; its seed is the first.
    pub settings: TrainSettings,
    /// Parts that are held out one after the other, at most.
    pub folds: u64,
    /// Seeds, one after the other.
    pub seeds: u64,
    /// Columns whose values are measured each by itself, and have a mean to be beaten.
    pub by: Vec<String>,
    /// The column whose values are held out instead of speakers.
    pub hold_out: Option<String>,
}

impl Request {
    /// Names the study.
    #[must_use]
    pub fn id(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        Digest::new("study").part(text.as_bytes()).hex()[..16].to_owned()
    }

    /// Its seeds, in words.
    #[must_use]
    pub fn seeds_in_words(&self) -> String {
        let (first, last) = (self.settings.seed, self.settings.seed + self.seeds - 1);
        if first == last { format!("seed {first}") } else { format!("seeds {first} to {last}") }
    }
}

/// A study whose recordings are known.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its name.
    pub id: String,
    /// What is to be measured.
    pub request: Request,
    /// The recordings, each with its fold.
    pub cases: Vec<Case>,
    /// The folds, none empty.
    pub folds: Vec<Fold>,
}

/// A training of a study.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The seed; none for the ridge that the study is measured against.
    pub seed: Option<u64>,
    /// Position of the fold that it holds out.
    pub fold: usize,
    /// What is asked of a trainer, but for the place of the store.
    pub request: TrainRequest,
}

impl Study {
    /// Reads the recordings of a study, cuts them into folds, and writes down the request.
    ///
    /// # Errors
    /// If the recordings cannot be cut so, or the store fails.
    pub async fn begin(store: &dyn Store, request: Request) -> Result<Self> {
        let study = Self::open(store, request).await?;
        put(store, &keys::study(&study.id, REQUEST), &study.request).await?;
        Ok(study)
    }

    /// Reads the recordings of a study and cuts them into folds.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn open(store: &dyn Store, request: Request) -> Result<Self> {
        let mut cases = cases(store, &request.manifest).await?;
        let folds = folds::cut(&request, &mut cases)?;
        Ok(Self { id: request.id(), request, cases, folds })
    }

    /// Its trainings: seed by seed, then the ridge's.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let Request { settings, seeds, .. } = &self.request;
        let of_seed = |seed| (Some(seed), TrainSettings { seed, ..settings.clone() });
        let mut ways: Vec<_> = (0..*seeds).map(|i| of_seed(settings.seed + i)).collect();
        let has_inputs = |case: &Case| !case.table.is_empty() || case.embedding.is_some();
        if settings.architecture != Architecture::Ridge && self.cases.iter().any(has_inputs) {
            ways.push((None, settings.ridge_beside()));
        }
        let folds = 0..self.folds.len();
        let of_way = |(seed, settings): &(Option<u64>, TrainSettings)| {
            folds.clone().map(|fold| self.part(*seed, settings, fold)).collect::<Vec<_>>()
        };
        ways.iter().flat_map(of_way).collect()
    }

    /// The training of some settings that holds out the fold at a position.
    fn part(&self, seed: Option<u64>, settings: &TrainSettings, fold: usize) -> Part {
        let request = TrainRequest {
            root: String::new(),
            access: Default::default(),
            upkeep: Default::default(),
            patient: true,
            manifest: self.request.manifest.clone(),
            model: Name::nearest(MODEL),
            fold: Some(self.folds[fold].clone()),
            against: None,
            start: None,
            blend: Vec::new(),
            settings: settings.clone(),
        };
        Part { seed, fold, request }
    }

    /// What every seed's trainings, which must have ended, say of each case; then what the
    /// ridge's do, if they are not the same.
    ///
    /// # Errors
    /// If a training has not ended, or the store fails.
    pub async fn guesses(
        &self,
        store: &dyn Store,
    ) -> Result<(Vec<Vec<Guess>>, Option<Vec<Guess>>)> {
        let (mut seeds, mut ridge) = (Vec::new(), None);
        for way in self.parts().chunks(self.folds.len()) {
            let mut tables = Vec::new();
            for part in way {
                tables.push(trained(store, &part.request.run_id()).await?.predictions);
            }
            let said = guesses(store, &self.cases, &tables).await?;
            match way[0].seed {
                Some(_) => seeds.push(said),
                None => ridge = Some(said),
            }
        }
        Ok((seeds, ridge))
    }

    /// Writes down what its trainings, which must all have ended, came to.
    ///
    /// # Errors
    /// If a training has not ended, or the store fails.
    pub async fn conclude(&self, store: &dyn Store) -> Result<Findings> {
        if let Some(findings) = result(store, &self.id).await? {
            return Ok(findings);
        }
        let (seeds, ridge) = self.guesses(store).await?;
        let study = self.clone();
        let found = spawn_blocking(move || {
            let Request { settings, by, .. } = &study.request;
            let material =
                Material { cases: &study.cases, seeds, ridge, by, coverage: settings.coverage };
            let found = findings(&material);
            Findings { study: Some(study.id), request: Some(study.request), ..found }
        });
        let found = found.await?;
        put(store, &keys::study(&self.id, RESULT), &found).await?;
        Ok(found)
    }
}

/// A study of a store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// Its name.
    pub study: String,
    /// What is to be measured.
    pub request: Request,
    /// What was found; none if trainings are missing.
    pub findings: Option<Findings>,
}

/// The studies of a store, in the order of their names.
///
/// # Errors
/// If the store fails or an object of it is damaged.
pub async fn studies(store: &dyn Store) -> Result<Vec<Listed>> {
    let mut all = Vec::new();
    for key in store.keys(keys::STUDIES).await? {
        if let Some(study) = keys::study_of(&key)
            && key.ends_with(REQUEST)
        {
            match listed(store, study, &key).await {
                Err(error @ Error::Damaged { .. }) => {
                    tracing::warn!(study, %error, "left out");
                }
                listed => all.push(listed?),
            }
        }
    }
    Ok(all)
}

/// One study, by its name or the beginning of it that no other has.
///
/// # Errors
/// If there is none or several, or the store fails.
pub async fn study(store: &dyn Store, name: &str) -> Result<Listed> {
    let mut found = studies(store).await?;
    found.retain(|listed| listed.study.starts_with(name));
    match (found.pop(), found.pop()) {
        (Some(listed), None) => Ok(listed),
        (None, _) => Err(Error::NoStudy(name.to_owned())),
        _ => Err(Error::SeveralStudies(name.to_owned())),
    }
}

impl Listed {
    /// The study with its recordings.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn open(&self, store: &dyn Store) -> Result<Study> {
        Study::open(store, self.request.clone()).await
    }
}

async fn listed(store: &dyn Store, study: &str, request: &str) -> Result<Listed> {
    let (request, findings) = (read(store, request).await?, result(store, study).await?);
    Ok(Listed { study: study.to_owned(), request, findings })
}

async fn result(store: &dyn Store, study: &str) -> Result<Option<Findings>> {
    let key = keys::study(study, RESULT);
    if store.exists(&key).await? { read(store, &key).await.map(Some) } else { Ok(None) }
}

async fn trained(store: &dyn Store, run: &str) -> Result<Trained> {
    match read(store, &keys::run(run, "result.json")).await {
        Err(Error::Transport(voxage_transport::Error::NotFound(_))) => {
            Err(Error::NotTrained(run.to_owned()))
        }
        read => read,
    }
}

pub(crate) async fn read<T: serde::de::DeserializeOwned>(
    store: &dyn Store,
    key: &str,
) -> Result<T> {
    serde_json::from_slice(&store.get(key).await?).map_err(|error| Error::damaged(key, error))
}

async fn put(store: &dyn Store, key: &str, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| Error::damaged(key, error))?;
    store.put_new(key, bytes.into()).await?;
    Ok(())
}
