//! What stops a trainer.

use voxage_contract::Kind;

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Transport(#[from] voxage_transport::Error),
    /// The data set cannot be read.
    #[error(transparent)]
    Dataset(#[from] voxage_dataset::Error),
    /// The model listens to an embedding that cannot be made here.
    #[error(transparent)]
    Weights(#[from] voxage_extract::WeightsError),
    /// Torch failed.
    #[error("torch: {0}")]
    Torch(#[from] tch::TchError),
    /// Torch has no memory for it: what it said.
    #[error("a smaller network or train.batch_size would take less memory: {0}")]
    Memory(String),
    /// An object of a model or run cannot be read.
    #[error("{key}: {why}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is nothing to learn from.
    #[error(
        "data set '{0}' has no usable recording with an age in its training split: see `voxage status` for rejects, and the manifest's columns 'age' and 'split', or add speakers"
    )]
    NothingToLearn(String),
    /// There is no such model.
    #[error("there is no model '{0}' in this root: train one with `voxage train` or `voxage run`")]
    NoModel(String),
    /// The features are not those that the model knows.
    #[error(
        "model {model} was trained on features of spec {trained}, these are of spec {found}: train it again, or extract with its spec"
    )]
    OtherFeatures {
        /// Key of the model version.
        model: String,
        /// Spec of its training data.
        trained: String,
        /// Spec that it was offered.
        found: String,
    },
    /// Another process is at the run.
    #[error("run {run} is being trained by {holder}: wait for it, or stop it")]
    Busy {
        /// The run.
        run: String,
        /// The other process.
        holder: String,
    },
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] voxage_service::ListenError),
    /// A setting cannot be.
    #[error("setting {0}")]
    Setting(String),
    /// The request's input ended or cannot be read.
    #[error("request: {0}")]
    Request(String),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What to do next.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Transport(error) => error.kind(),
            Self::Dataset(error) => error.kind(),
            Self::Busy { .. } => Kind::Transient,
            _ => Kind::Permanent,
        }
    }

    pub(crate) fn of_another_kind() -> Self {
        Self::Request("inputs were made for another kind of model".into())
    }

    pub(crate) fn damaged(key: &str, why: impl std::fmt::Display) -> Self {
        Self::Damaged { key: key.into(), why: why.to_string() }
    }
}
