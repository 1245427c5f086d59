//! What a firing does, stage by stage: take manifests in, wait for the sealed data set, have
//! a model trained, ask the gate, promote.
//!
//! Always holds: every stage may be repeated, and comes to the same.

use std::io::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use voxage_contract::training::TrainRequest;
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{BatchId, Kind, Training, keys};
use voxage_transport::source::Sources;
use voxage_transport::{Queue, Store, StoreExt as _};

use super::{Instant, Schedule, Start};
use crate::drift::{Drift, drift};
use crate::registry::{self, Decision};
use crate::trainings::{self, Standing};
use crate::{Error, Result, Submission, check, seal, submit};

/// Bytes of a manifest that are read at a time.
const CHUNK: u64 = 8 << 20;

/// What was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenIn {
    /// Manifests that are new.
    pub manifests: Vec<Taken>,
    /// Manifests that were taken in before.
    pub known: u64,
    /// Those that cannot be taken in, with why; each firing tries them again.
    #[serde(default)]
    pub bad: Vec<String>,
}

/// A manifest that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its place below the source.
    pub path: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// The batch that it became.
    pub batch: BatchId,
    /// Recordings in it.
    pub recordings: u64,
}

/// A version of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// Its key.
    pub manifest: String,
    /// Recordings with features.
    pub rows: u64,
    /// Recordings without.
    pub rejects: u64,
    /// How far it is from what the champion has learned from; none without a champion.
    pub drift: Option<Drift>,
    /// The version that the training starts from; none for chance.
    #[serde(default)]
    pub start: Option<String>,
}

/// A training that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The run.
    pub run: String,
    /// Which request of the run it is.
    pub ask: u64,
    /// The key of the champion that is measured beside it.
    pub against: Option<String>,
}

impl Asked {
    fn training(&self) -> Training {
        Training { version: WIRE_VERSION, run: self.run.clone(), ask: self.ask }
    }
}

/// A version of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// The run that made it.
    pub run: String,
    /// Its key.
    pub model: String,
    /// Its error on held-out speakers, in years.
    pub rmse: Option<f64>,
    /// The key of the champion that was measured beside it.
    pub against: Option<String>,
}

/// Who does the stages.
#[async_trait]
pub trait Stages: Sync {
    /// Takes in what is new below the source.
    async fn take_in(&self, schedule: &Schedule) -> Result<TakenIn>;
    /// The data set, once all of it is there.
    async fn seal(&self, schedule: &Schedule, taken: &TakenIn) -> Result<Option<Sealed>>;
    /// Whether the champion has learned from this very data in this very way.
    async fn is_known(&self, schedule: &Schedule, sealed: &Sealed) -> Result<bool>;
    /// Asks for a model of it.
    async fn ask(&self, schedule: &Schedule, sealed: &Sealed) -> Result<Asked>;
    /// That model, once it is trained.
    async fn train(&self, asked: &Asked) -> Result<Option<Trained>>;
    /// What the gate says of it.
    async fn decide(&self, schedule: &Schedule, trained: &Trained) -> Result<Decision>;
    /// Makes it the champion.
    async fn promote(&self, schedule: &Schedule, decision: &Decision, now: Instant) -> Result<()>;
    /// Takes a training back that was asked for, if it is not done.
    async fn withdraw(&self, asked: &Asked) -> Result<()>;
}

/// The stages over a store and the queue of trainings.
#[derive(Debug)]
pub struct Work {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where trainings are asked for.
    pub trainings: Arc<dyn Queue>,
    /// Where manifests may be read.
    pub sources: Sources,
}

#[async_trait]
impl Stages for Work {
    async fn take_in(&self, schedule: &Schedule) -> Result<TakenIn> {
        let source =
            self.sources.folder(&schedule.source).await.map_err(|error| match error.kind() {
                Kind::Transient => Error::Transport(error),
                _ => Error::Schedule(format!("its source {}: {error}", schedule.source)),
            })?;
        let (mut manifests, mut known, mut bad) = (Vec::new(), 0, Vec::new());
        for path in source.keys("").await? {
            let lower = path.to_lowercase();
            if ![".csv", ".tsv", ".parquet"].iter().any(|end| lower.ends_with(end)) {
                continue;
            }
            if self.sources.leads_out(&schedule.source, &path) {
                bad.push(format!("{}{path}: a link leads it out of its source", schedule.source));
                continue;
            }
            let (file, sha256) = match fetched(&*source, &path).await {
                Ok(fetched) => fetched,
                Err(error) if error.kind() == Kind::Transient => return Err(error),
                Err(error) => {
                    bad.push(format!("{}{path}: {error}", schedule.source));
                    continue;
                }
            };
            let key = keys::taken(&schedule.dataset, &sha256);
            if self.store.exists(&key).await? {
                known += 1;
                continue;
            }
            let taken = match self.take(schedule, path, file, sha256).await {
                Ok(taken) => taken,
                // A night without anything new may have a table without rows.
                Err(Error::Structure { problem, .. }) if problem.code == "no_rows" => continue,
                Err(error @ (Error::Manifest { .. } | Error::Structure { .. })) => {
                    bad.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let bytes = serde_json::to_vec_pretty(&taken).map_err(|e| Error::damaged(&key, e))?;
            self.store.put_new(&key, bytes.into()).await?;
            manifests.push(taken);
        }
        // One that is bad must not keep the others' recordings from being learned from.
        if !bad.is_empty() && manifests.is_empty() && known == 0 {
            return Err(Error::Schedule(bad.join("; ")));
        }
        Ok(TakenIn { manifests, known, bad })
    }

    async fn seal(&self, schedule: &Schedule, _: &TakenIn) -> Result<Option<Sealed>> {
        match seal::seal(&*self.store, &schedule.dataset, &schedule.spec).await {
            Ok((manifest, sealed)) => {
                let drift = self.drift(schedule, &manifest).await?;
                // Fixed here: a champion that changes meanwhile must not change what is asked.
                let start = match schedule.start {
                    Start::Scratch => None,
                    Start::Champion => {
                        registry::champion_key(&*self.store, &schedule.model).await?
                    }
                };
                let (rows, rejects) = (sealed.rows, sealed.rejects);
                Ok(Some(Sealed { manifest, rows, rejects, drift, start }))
            }
            Err(Error::Unplanned { .. } | Error::Incomplete { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn is_known(&self, schedule: &Schedule, sealed: &Sealed) -> Result<bool> {
        let Some(champion) = registry::champion(&*self.store, &schedule.model).await? else {
            return Ok(false);
        };
        let card = registry::card(&*self.store, &schedule.model, champion.version).await?;
        Ok(card.manifest == sealed.manifest && card.settings == schedule.settings)
    }

    async fn withdraw(&self, asked: &Asked) -> Result<()> {
        let training = asked.training();
        if trainings::standing(&*self.store, &training).await? == Standing::Open {
            trainings::fail(&*self.store, &training, "the schedule was removed").await?;
        }
        Ok(())
    }

    async fn ask(&self, schedule: &Schedule, sealed: &Sealed) -> Result<Asked> {
        let against = registry::champion_key(&*self.store, &schedule.model).await?;
        let request = TrainRequest {
            root: String::new(),
            access: Default::default(),
            upkeep: Default::default(),
            patient: true,
            fold: None,
            manifest: sealed.manifest.clone(),
            model: schedule.model.clone(),
            against: against.clone(),
            start: sealed.start.clone(),
            blend: Vec::new(),
            settings: schedule.settings.clone(),
        };
        let training = trainings::ask(&*self.store, &*self.trainings, &request).await?;
        Ok(Asked { run: training.run, ask: training.ask, against })
    }

    async fn train(&self, asked: &Asked) -> Result<Option<Trained>> {
        match trainings::standing(&*self.store, &asked.training()).await? {
            Standing::Open => Ok(None),
            Standing::Failed(why) => Err(Error::Schedule(format!("the training failed: {why}"))),
            Standing::Trained(trained) => Ok(Some(Trained {
                run: trained.run,
                model: trained.model,
                rmse: trained.evaluation.test.all.rmse,
                against: asked.against.clone(),
            })),
        }
    }

    async fn decide(&self, schedule: &Schedule, trained: &Trained) -> Result<Decision> {
        let candidate = keys::number_of(&trained.model, &keys::versions(&schedule.model));
        let candidate =
            candidate.ok_or_else(|| Error::damaged(&trained.model, "it is no version"))?;
        registry::decide(&*self.store, &schedule.gate, &schedule.model, candidate).await
    }

    async fn promote(&self, schedule: &Schedule, decision: &Decision, now: Instant) -> Result<()> {
        registry::promote_by_gate(&*self.store, &schedule.model, decision, now).await
    }
}

impl Work {
    async fn drift(&self, schedule: &Schedule, manifest: &str) -> Result<Option<Drift>> {
        let Some(champion) = registry::champion(&*self.store, &schedule.model).await? else {
            return Ok(None);
        };
        let card = registry::card(&*self.store, &schedule.model, champion.version).await?;
        Ok(Some(drift(&*self.store, &card.manifest, manifest).await?))
    }

    async fn take(
        &self,
        schedule: &Schedule,
        path: String,
        file: tempfile::NamedTempFile,
        sha256: String,
    ) -> Result<Taken> {
        let place = format!("{}{path}", schedule.source);
        let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
        let audio_root = schedule.audio_root.clone().unwrap_or_else(|| format!("{folder}/"));
        let (table, root) = (file.path().to_owned(), audio_root.clone());
        let checked = spawn_blocking(move || check(&table, &root, |_, _| {})).await?;
        // A person knows the manifest by its own name.
        let checked = checked.map_err(|error| match error {
            Error::Manifest { source, .. } => Error::Manifest { path: place.clone(), source },
            Error::Structure { problem, .. } => Error::Structure { path: place.clone(), problem },
            other => other,
        })?;
        if let Some(problem) = checked.structural().next() {
            return Err(Error::Structure { path: place, problem: problem.clone() });
        }
        let submission = Submission {
            manifest: file.path().to_owned(),
            paths_root: audio_root.clone(),
            audio_root,
            dataset: schedule.dataset.clone(),
            spec: schedule.spec.clone(),
            shards: schedule.shards,
            stat_sources: true,
            scheduled: true,
        };
        let done = submit(&*self.store, submission, |_| {}, |_| {}).await?;
        Ok(Taken { path, sha256, batch: done.batch, recordings: done.recordings })
    }
}

/// A manifest as a file of this machine, with its digest; memory is that of a chunk.
async fn fetched(source: &dyn Store, path: &str) -> Result<(tempfile::NamedTempFile, String)> {
    let folder = std::env::temp_dir();
    let lost = |source: std::io::Error| {
        let what = format!("keep a manifest in {} (TMPDIR)", folder.display());
        Error::Transport(voxage_transport::Error::Io { what, source })
    };
    let end = path.rsplit_once('.').map_or("", |(_, end)| end).to_lowercase();
    let mut file = tempfile::Builder::new().suffix(&format!(".{end}")).tempfile().map_err(lost)?;
    let (size, mut digest) = (source.head(path).await?.size, Sha256::new());
    let mut at = 0;
    while at < size {
        let bytes = source.get_range(path, at..(at + CHUNK).min(size)).await?;
        digest.update(&bytes);
        file.write_all(&bytes).map_err(lost)?;
        at += bytes.len() as u64;
    }
    let hex = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((file, hex))
}
