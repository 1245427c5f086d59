//! What is asked of a trainer and what it answers: one [`Request`] as a line of JSON on
//! its standard input, then [`Event`]s as lines of JSON on its standard output.
//!
//! Always holds: a [`TrainRequest`] says everything that a model depends on, so that the
//! same request is the same run.

use serde::{Deserialize, Serialize};

use crate::ShardId;
use crate::keys::{Name, run_id};

mod augment;
mod evaluation;
mod fold;
mod nets;
mod promotion;
mod settings;

pub use augment::Augment;
pub use evaluation::{Baseline, Cell, Evaluation, Scores, SplitEvaluation};
pub use fold::Fold;
pub use nets::{Ecapa, SeResNet};
pub use promotion::{Promotion, Reason};
pub use settings::{Architecture, Device, Image, Loss, Scaling, Schedule, Target, TrainSettings};

/// What a trainer is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Request {
    /// Fit a model.
    Train(Box<TrainRequest>),
    /// Measure a model.
    Evaluate(EvaluateRequest),
    /// Predict recordings, which follow as one [`crate::Recording`] a line.
    Predict(PredictRequest),
    /// Predict recordings whose features are in shards.
    PredictShards(PredictShardsRequest),
    /// Write a network for others.
    Export(ExportRequest),
    /// Predict over HTTP, until it is asked to stop.
    Serve(ServeRequest),
}

/// How a trainer reaches its store, beside the environment's `AWS_*`: nothing that comes out
/// depends on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Access {
    /// URL of the S3 server; none for the environment's.
    pub s3_endpoint: Option<String>,
    /// Region of the bucket; none for the environment's.
    pub s3_region: Option<String>,
    /// Whether buckets are named in the path; none for: where there is an endpoint.
    pub s3_path_style: Option<bool>,
    /// Where shards of a store that is far away are kept; none for nowhere.
    pub cache: Option<CacheSettings>,
}

/// A folder for shards of a store that is far away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheSettings {
    /// Where it is.
    pub folder: String,
    /// What it may take in MiB.
    pub limit_mib: u64,
}

/// How a training is carried out: nothing that comes out depends on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upkeep {
    /// Seconds between two checkpoints.
    pub checkpoint_s: f64,
    /// Checkpoints that are kept, the newest.
    pub checkpoints: usize,
    /// Threads that read samples.
    pub loader_threads: usize,
    /// A training split whose spectrograms take at most so many MiB is kept where the
    /// network is, and read once; 0 for never.
    pub resident_mib: u64,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { checkpoint_s: 60.0, checkpoints: 2, loader_threads: 1, resident_mib: 1024 }
    }
}

/// Fit a model to a sealed manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainRequest {
    /// The store: a directory, or `s3://bucket/prefix`.
    pub root: String,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// How it is carried out.
    #[serde(default)]
    pub upkeep: Upkeep,
    /// Whether to wait for another process that is at the same run, or to end at once.
    #[serde(default)]
    pub patient: bool,
    /// Key of the sealed manifest.
    pub manifest: String,
    /// Name of the model that gets a new version.
    pub model: Name,
    /// If there is one, the training is part of a cross-validation: it makes no model, and
    /// its test split is this fold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// Key of a model version that is measured on the same test split: nothing that comes
    /// out of the training depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Key of a model version whose weights a network starts from, if it is of the same kind
    /// and sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// If there are any, nothing is fitted: the model is a weighted mean of these versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blend: Vec<BlendPart>,
    /// How.
    pub settings: TrainSettings,
}

/// A member of a blend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlendPart {
    /// Key of the model version.
    pub version: String,
    /// Its share, from 0 to 1; together they are 1.
    pub weight: f64,
}

/// Measure a model on the test split of a sealed manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluateRequest {
    /// The store: a directory, or `s3://bucket/prefix`.
    pub root: String,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// Key of the model version, or its name for the newest.
    pub model: String,
    /// Key of the sealed manifest; none for the one that the model was trained on.
    pub manifest: Option<String>,
}

/// Predict recordings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictRequest {
    /// The store: a directory, or `s3://bucket/prefix`.
    pub root: String,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// Key of the model version, or its name for the newest.
    pub model: String,
    /// URI that the paths are relative to.
    pub audio_root: String,
    /// Threads that extract features.
    pub slots: usize,
}

/// Predict recordings whose features are in shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictShardsRequest {
    /// The store: a directory, or `s3://bucket/prefix`.
    pub root: String,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// Key of the model version, or its name for its champion.
    pub model: String,
    /// Key of the sealed manifest.
    pub manifest: String,
    /// The shards, by id.
    pub shards: Vec<ShardId>,
}

/// Write a network for others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// The store: a directory, or `s3://bucket/prefix`.
    pub root: String,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// Key of the model version, or its name for its champion.
    pub model: String,
    /// Folder of this machine.
    pub out: String,
}

/// Predict over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServeRequest {
    /// The store: a directory, or `s3://bucket/prefix`.
    pub root: String,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "is_default")]
    pub access: Access,
    /// The model's name, for its champion, whichever that is at the time; or a version.
    pub model: String,
    /// Address and port.
    pub listen: String,
    /// Threads that extract features.
    pub slots: usize,
    /// Largest body in MiB.
    pub body_mib: u64,
    /// All bodies together that are in memory, in MiB.
    pub memory_mib: u64,
    /// How long a request may take, in seconds.
    pub timeout_s: f64,
}

fn is_default(access: &Access) -> bool {
    *access == Access::default()
}

impl TrainRequest {
    /// Names the run. Where the store is does not matter to what comes out.
    #[must_use]
    pub fn run_id(&self) -> String {
        let same = Self {
            root: String::new(),
            access: Access::default(),
            upkeep: Upkeep::default(),
            patient: false,
            against: None,
            ..self.clone()
        };
        run_id(&serde_json::to_string(&same).unwrap_or_default())
    }
}

/// What a trainer says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// How far a long work is.
    Progress {
        /// Samples done.
        done: u64,
        /// Samples in all, at most.
        total: u64,
        /// How it goes.
        message: String,
    },
    /// Something that a person should know.
    Note {
        /// It.
        message: String,
    },
    /// Something that a person should see to.
    Warning {
        /// It.
        message: String,
    },
    /// One recording's prediction, in the order of the request.
    Prediction(Prediction),
    /// All recordings of a shard were predicted: those since the last such event.
    ShardPredicted {
        /// The shard.
        shard: ShardId,
    },
    /// Predictions are served from now on.
    Serving {
        /// Where.
        address: String,
        /// Key of the model version.
        model: String,
    },
    /// The end of serving.
    Served,
    /// The end of a training that was asked to stop: it goes on from a checkpoint when it
    /// is asked for again.
    Interrupted {
        /// The run.
        run: String,
        /// Steps that are behind it.
        step: u64,
    },
    /// The end of a training that another process is at.
    Busy {
        /// The run.
        run: String,
        /// The other process, for people.
        holder: String,
    },
    /// The end of a training.
    Trained(Trained),
    /// The end of an export.
    Exported {
        /// Key of the model version.
        model: String,
    },
    /// The end of an evaluation.
    Evaluated(Evaluated),
    /// The end of a prediction.
    Predicted {
        /// Key of the model version that was used.
        model: String,
    },
    /// The end of anything that failed.
    Failed {
        /// Why, and what to do.
        message: String,
        /// Whether the same may succeed later.
        transient: bool,
    },
}

/// One line of a run's metrics: what some steps, or a whole epoch, came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Steps since the start of the run.
    pub step: u64,
    /// The epoch under way, from 1.
    pub epoch: u64,
    /// Mean loss of the steps since the last such line, or of the epoch; none if it was no
    /// number.
    pub loss: Option<f64>,
    /// Step size.
    pub learning_rate: f64,
    /// Samples trained a second, in the same time.
    pub samples_per_s: f64,
    /// The RMSE in years on the split that stops the training, at the end of an epoch.
    pub stopping_rmse: Option<f64>,
    /// Whether this is about a whole epoch.
    pub epoch_end: bool,
    /// When, in seconds since 1970.
    pub at_unix_s: f64,
}

impl Metric {
    /// Its numbers by name.
    pub fn scalars(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let all = if self.epoch_end {
            [("epoch/loss", self.loss), ("epoch/stopping_rmse", self.stopping_rmse), ("", None)]
        } else {
            [
                ("loss", self.loss),
                ("learning_rate", Some(self.learning_rate)),
                ("samples_per_s", Some(self.samples_per_s)),
            ]
        };
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A recording's predicted age.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The recording.
    pub id: String,
    /// Its audio.
    pub path: String,
    /// Years; none if the recording cannot be predicted.
    pub age: Option<f64>,
    /// Years between which the age lies with the model's coverage; none if the model has no
    /// calibration.
    pub interval: Option<[f64; 2]>,
    /// What was odd, imputed, or in the way.
    pub warnings: Vec<String>,
}

/// A trained model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// The run.
    pub run: String,
    /// Key of the model version; empty for a part of a cross-validation.
    pub model: String,
    /// Epochs that were trained.
    pub epochs: u64,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: u64,
    /// Its RMSE on the validation split, in years.
    pub validation_rmse: Option<f64>,
    /// How it does on the test split.
    pub evaluation: Evaluation,
    /// Key of the test split's predictions.
    pub predictions: String,
}

/// A measured model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// Key of the model version.
    pub model: String,
    /// Key of the sealed manifest.
    pub manifest: String,
    /// How it does on the test split.
    pub evaluation: Evaluation,
    /// Key of the test split's predictions.
    pub predictions: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_are_named() {
        let default = TrainSettings::default;
        assert_eq!(default().check(), Ok(()));
        for (settings, name) in [
            (TrainSettings { epochs: 0, ..default() }, "train.epochs"),
            (TrainSettings { learning_rate: f64::NAN, ..default() }, "train.learning_rate"),
            (TrainSettings { test_share: 0.9, ..default() }, "train.test_share"),
            (TrainSettings { channels: vec![1; 8], ..default() }, "train.channels"),
            (TrainSettings { table_units: vec![], ..default() }, "train.table_units"),
            (TrainSettings { drop_path: 1.0, ..default() }, "train.drop_path"),
            (TrainSettings { loss: Loss::MeanVariance, ..default() }, "train.target"),
            (TrainSettings { pretrained: "a".into(), ..default() }, "train.pretrained"),
            (
                TrainSettings {
                    augment: Augment { shift: 128, ..Augment::default() },
                    ..default()
                },
                "train.augment.shift",
            ),
            (
                TrainSettings {
                    se_resnet: SeResNet { blocks: vec![2; 3], ..SeResNet::default() },
                    ..default()
                },
                "train.se_resnet.blocks",
            ),
            (
                TrainSettings { ecapa: Ecapa { groups: 7, ..Ecapa::default() }, ..default() },
                "train.ecapa.channels",
            ),
        ] {
            assert!(settings.check().unwrap_err().contains(name));
        }
    }

    #[test]
    fn settings_that_change_nothing_are_named() {
        let settings = TrainSettings {
            windows: 4,
            loss: Loss::Huber,
            augment: Augment { shift: 3, ..Augment::default() },
            points: 9,
            ..TrainSettings::default()
        };
        assert_eq!(settings.without_effect(), ["augment.shift", "loss", "windows"]);
        let network = TrainSettings { architecture: Architecture::SeResNet, ..settings };
        assert_eq!(network.without_effect(), ["points", "windows"]);
        let all: Vec<_> = network.changed().into_iter().map(|(name, _)| name).collect();
        assert_eq!(all, ["architecture", "augment.shift", "loss", "points", "windows"]);
    }

    #[test]
    fn a_run_is_named_by_everything_but_the_place() {
        let request = TrainRequest {
            root: "a".into(),
            access: Access::default(),
            upkeep: Upkeep::default(),
            patient: false,
            manifest: "m".into(),
            model: Name::nearest("age"),
            fold: None,
            against: None,
            start: None,
            blend: Vec::new(),
            settings: TrainSettings::default(),
        };
        let id = request.run_id();
        let cache = Some(CacheSettings { folder: "c".into(), limit_mib: 1 });
        let access = Access { cache, ..Access::default() };
        assert_eq!(TrainRequest { root: "b".into(), access, ..request.clone() }.run_id(), id);
        assert_ne!(TrainRequest { manifest: "n".into(), ..request.clone() }.run_id(), id);
        let settings = TrainSettings { seed: 2, ..TrainSettings::default() };
        assert_ne!(TrainRequest { settings, ..request }.run_id(), id);
    }
}
