//! What a trainer is asked to do.

use serde::{Deserialize, Serialize};

use super::{Fold, TrainSettings};
use crate::ShardId;
use crate::keys::{Name, run_id};

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
    /// How long a recording may be, in seconds.
    pub duration_s: u64,
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
