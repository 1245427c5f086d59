//! What stops a data set from being read.

use std::path::PathBuf;

use voxage_contract::Kind;

/// A data set that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed.
    #[error(transparent)]
    Transport(#[from] voxage_transport::Error),
    /// An object of the store is not what its key says.
    #[error("{key}: {why}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The cache cannot be used.
    #[error("cache {}: {why}", .folder.display())]
    Cache {
        /// Where it is.
        folder: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// Whoever asked for it does not want it any more.
    #[error("stopped")]
    Stopped,
    /// Two of a speaker's recordings were submitted for different splits.
    #[error(
        "speaker '{speaker}' was submitted for two splits, by recordings '{first}' and '{second}': submit one of them again with the other's split"
    )]
    DividedSpeaker {
        /// The speaker.
        speaker: String,
        /// The id of a recording of one split.
        first: String,
        /// The id of a recording of another.
        second: String,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What to do next.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Transport(error) => error.kind(),
            Self::Stopped => Kind::Transient,
            _ => Kind::Permanent,
        }
    }

    pub(crate) fn damaged(key: &str, why: impl std::fmt::Display) -> Self {
        Self::Damaged { key: key.into(), why: why.to_string() }
    }
}
