//! What keeps a task from being done.

use voxage_contract::Kind;
use voxage_contract::wire::WireError;

/// A task that was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store, the queue or a source of audio failed.
    #[error(transparent)]
    Transport(#[from] voxage_transport::Error),
    /// The task cannot be read.
    #[error("task: {0}")]
    Task(#[from] WireError),
    /// The spec asks for an embedding that cannot be made here.
    #[error(transparent)]
    Weights(#[from] voxage_extract::WeightsError),
    /// The shard cannot be written.
    #[error("shard: {0}")]
    Shard(#[from] voxage_shards::Error),
    /// The process that was to extract a recording was stopped, or could not start.
    #[error("{path}: {why}")]
    Isolated {
        /// The recording's path.
        path: String,
        /// Why.
        why: String,
    },
    /// A thread was lost.
    #[error("background work was lost: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What to do next.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Transport(error) => error.kind(),
            // A worker of that version may take it.
            Self::Task(WireError::Newer(_)) | Self::Weights(_) | Self::Isolated { .. } => {
                Kind::Transient
            }
            Self::Task(_) => Kind::Permanent,
            Self::Shard(_) | Self::Lost(_) => Kind::Bug,
        }
    }
}
