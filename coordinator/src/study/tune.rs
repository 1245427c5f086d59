//! A search over settings: drawn at random, measured on more and more folds, and halved each
//! time ("successive halving", Jamieson and Talwalkar 2016).
//!
//! Always holds: everything follows from the request and from trainings that have ended, so a
//! search that was cut off goes on; each training is that of a study of the same settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use voxage_contract::digest::Digest;
use voxage_contract::training::{Architecture, TrainSettings, Trained};
use voxage_contract::{Rng, keys};
use voxage_transport::{Store, StoreExt as _};

use super::{Part, Request, Study, put, read};
use crate::{Error, Result};

/// Of the trials of a rung, one in so many goes on.
const ETA: usize = 2;

const REQUEST: &str = "request.json";

/// For each trial, settings are drawn so often at most before there are none that are new.
const DRAWS: u64 = 20;

/// Settings of a training that a fold makes no use of, or that no error follows from.
const WITHOUT_EFFECT: [&str; 2] = ["test_share", "coverage"];

/// What a setting may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One of these.
    Choice(Vec<Value>),
    /// Anything between two numbers.
    Range {
        /// At least.
        low: f64,
        /// At most.
        high: f64,
        /// Whether each order of magnitude is as likely as another.
        #[serde(default)]
        log: bool,
        /// Whether it is a whole number.
        #[serde(default)]
        whole: bool,
    },
}

/// What is searched, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// What is measured on: the manifest, the folds, and the settings that are not searched.
    pub study: Request,
    /// The settings that are, by their names below `train`.
    pub space: BTreeMap<String, Values>,
    /// How many are tried, at most; the first is what is not searched alone.
    pub trials: u64,
}

/// One draw of settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// The number of the draw, from 0 on: those that gave nothing new are left out.
    pub number: u64,
    /// What was drawn; nothing for the first.
    pub drawn: BTreeMap<String, Value>,
    /// All settings.
    #[serde(skip)]
    pub settings: TrainSettings,
    /// Folds that it was measured on.
    pub folds: usize,
    /// The RMSE over their recordings, in years; none if it never was a number.
    pub rmse: Option<f64>,
    /// Why it cannot be, if it cannot.
    pub failed: Option<String>,
}

/// How far a search is.
#[derive(Debug)]
pub struct Progress {
    /// The trials, best first; those on more folds before those on fewer.
    pub trials: Vec<Trial>,
    /// The trainings that must end before it goes on; none if it is at its end.
    pub missing: Vec<Part>,
}

impl Search {
    /// Names the search.
    #[must_use]
    pub fn id(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        Digest::new("search").part(text.as_bytes()).hex()[..16].to_owned()
    }

    /// Writes down what is asked.
    ///
    /// # Errors
    /// If a setting cannot be searched so, or the store fails.
    pub async fn begin(&self, store: &dyn Store) -> Result<()> {
        if self.trials < 2 || self.space.is_empty() {
            return Err(Error::Study(
                "a search is over one setting or more, with 2 trials or more".into(),
            ));
        }
        for trial in &self.drawn()?[1..] {
            if trial.settings.architecture == Architecture::Blend {
                return Err(Error::Study("architecture: no training makes a blend".into()));
            }
            trial
                .settings
                .check()
                .map_err(|why| Error::Study(format!("the space allows what cannot be: {why}")))?;
        }
        put(store, &keys::search(&self.id(), REQUEST), self).await
    }

    /// How far it is. `study` is that of the request, opened; `failed` says of trainings that
    /// cannot be why not.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn progress(
        &self,
        store: &dyn Store,
        study: &Study,
        failed: &BTreeMap<String, String>,
    ) -> Result<Progress> {
        let mut running = self.drawn()?;
        let (mut out, mut folds) = (Vec::new(), 1);
        loop {
            let folds_now = folds.min(study.folds.len());
            let mut missing = Vec::new();
            for trial in &mut running {
                missing.extend(measure(store, study, trial, folds_now, failed).await?);
            }
            running.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
            if !missing.is_empty() || folds_now == study.folds.len() {
                running.extend(out);
                return Ok(Progress { trials: running, missing });
            }
            let kept = running.len().div_ceil(ETA);
            out.splice(0..0, running.split_off(kept));
            folds = folds_now * ETA;
        }
    }

    /// What is tried, each once: less than was asked for if the space has no more.
    ///
    /// # Errors
    /// If a setting cannot be searched so.
    pub fn drawn(&self) -> Result<Vec<Trial>> {
        let mut drawn: Vec<Trial> = Vec::new();
        for number in 0..DRAWS * self.trials {
            let trial = self.trial(number)?;
            if drawn.iter().all(|other| other.settings != trial.settings) {
                drawn.push(trial);
            }
            if drawn.len() as u64 == self.trials {
                break;
            }
        }
        Ok(drawn)
    }

    /// The settings of a draw.
    fn trial(&self, number: u64) -> Result<Trial> {
        let mut drawn = BTreeMap::new();
        let mut settings = serde_json::to_value(&self.study.settings)
            .map_err(|error| Error::damaged("train", error))?;
        for (i, (name, values)) in self.space.iter().enumerate() {
            if number == 0 {
                break;
            }
            let value = values.draw(&mut Rng::new(&[0x7475_6E65, number, i as u64]));
            let value = value.map_err(|why| Error::Study(format!("{name}: {why}")))?;
            if WITHOUT_EFFECT.contains(&name.as_str()) {
                let why = "changes nothing that a search looks at";
                return Err(Error::Study(format!("train.{name} {why}")));
            }
            let pointer = format!("/{}", name.replace('.', "/"));
            let Some(place) = settings.pointer_mut(&pointer) else {
                return Err(Error::Study(format!(
                    "there is no setting train.{name}: `voxage train --help` lists those that \
                     there are"
                )));
            };
            *place = value.clone();
            if let Err(error) = TrainSettings::deserialize(&settings) {
                let broken = value.is_f64() && matches!(values, Values::Range { whole: false, .. });
                let hint = if broken { "; whole = true draws whole numbers" } else { "" };
                return Err(Error::Study(format!("train.{name}: {error}{hint}")));
            }
            drawn.insert(name.clone(), value);
        }
        let settings =
            serde_json::from_value(settings).map_err(|error| Error::damaged("train", error))?;
        Ok(Trial { number, drawn, settings, folds: 0, rmse: None, failed: None })
    }
}

/// Reads what a trial's trainings on the first folds came to; gives those that are missing.
async fn measure(
    store: &dyn Store,
    study: &Study,
    trial: &mut Trial,
    folds: usize,
    failed: &BTreeMap<String, String>,
) -> Result<Vec<Part>> {
    let (mut missing, mut squares, mut n) = (Vec::new(), 0.0, 0);
    for fold in 0..folds {
        let part = study.part(Some(trial.settings.seed), &trial.settings, fold);
        let run = part.request.run_id();
        if let Some(why) = failed.get(&run) {
            (trial.rmse, trial.failed) = (None, Some(why.clone()));
            return Ok(Vec::new());
        }
        let key = keys::run(&run, "result.json");
        if !store.exists(&key).await? {
            missing.push(part);
            continue;
        }
        let trained: Trained = read(store, &key).await?;
        let scores = trained.evaluation.test.all;
        squares += scores.n as f64 * scores.rmse.map_or(f64::INFINITY, |rmse| rmse * rmse);
        n += scores.n;
    }
    trial.folds = folds - missing.len();
    trial.rmse = Some((squares / n as f64).sqrt()).filter(|rmse| rmse.is_finite());
    Ok(missing)
}

fn rank(trial: &Trial) -> f64 {
    trial.rmse.unwrap_or(f64::INFINITY)
}

impl Values {
    fn draw(&self, rng: &mut Rng) -> Result<Value, &'static str> {
        let mut unit = || (rng.next() >> 11) as f64 / (1_u64 << 53) as f64;
        match self {
            Self::Choice(values) => {
                let values = values.get((unit() * values.len() as f64) as usize);
                values.cloned().ok_or("there is nothing to choose from")
            }
            Self::Range { low, high, log, whole } => {
                if !(low < high && (high - low).is_finite() && (!log || *low > 0.0)) {
                    return Err("low must be below high, and above 0 where log is true");
                }
                let between = |low: f64, high: f64, share: f64| low + (high - low) * share;
                let value = match (log, whole) {
                    (true, _) => between(low.ln(), high.ln(), unit()).exp(),
                    // Both ends as likely as what is between.
                    (false, true) => between(low - 0.5, high + 0.5, unit()),
                    (false, false) => between(*low, *high, unit()),
                };
                Ok(if *whole { Value::from(value.round() as i64) } else { Value::from(value) })
            }
        }
    }
}
