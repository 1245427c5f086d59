//! What stops a coordinator.

use voxage_contract::Kind;
use voxage_shards::table::TableError;

/// A step that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store or the queue failed.
    #[error(transparent)]
    Transport(#[from] voxage_transport::Error),
    /// The manifest cannot be read.
    #[error("{path}: {source}")]
    Manifest {
        /// The file.
        path: String,
        /// Why.
        source: TableError,
    },
    /// The manifest cannot be read as what it should be.
    #[error("{path}: {problem}")]
    Structure {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: crate::Problem,
    },
    /// An object of the store is not what its key says.
    #[error("{key}: {why}")]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The data set has no plan.
    #[error("data set '{0}' has nothing submitted to it")]
    Empty(String),
    /// There is no such batch.
    #[error("there is no batch {0}: `voxage status` lists those that there are")]
    NoBatch(voxage_contract::BatchId),
    /// There is no such run.
    #[error("there is no run '{0}': `voxage runs list` lists those that there are")]
    NoRun(String),
    /// Several runs have names that begin so.
    #[error("several runs begin with '{0}': write more of the name")]
    SeveralRuns(String),
    /// There is no such version of a model.
    #[error("there is no {0}: `voxage models list` lists the versions that there are")]
    NoVersion(String),
    /// There is no such schedule.
    #[error("there is no schedule '{0}': `voxage schedule list` lists those that there are")]
    NoSchedule(String),
    /// A schedule cannot be as it is wanted.
    #[error("{0}")]
    Schedule(String),
    /// A version cannot become the champion.
    #[error("{0}")]
    Registry(String),
    /// There is no such study.
    #[error("there is no study '{0}': `voxage studies list` lists those that there are")]
    NoStudy(String),
    /// Several studies have names that begin so.
    #[error("several studies begin with '{0}': write more of the name")]
    SeveralStudies(String),
    /// A study that cannot be.
    #[error("{0}")]
    Study(String),
    /// A training that a study needs has not ended.
    #[error("run {0} has not ended: repeat the study's `voxage evaluate --cv` to go on with it")]
    NotTrained(String),
    /// A batch cannot be planned, and keeps those behind it from being planned.
    #[error(
        "batch {batch} cannot be planned: {why}; `voxage cancel {batch}` takes it out of the way"
    )]
    InTheWay {
        /// The batch.
        batch: voxage_contract::BatchId,
        /// Why not.
        why: String,
    },
    /// The data set has a batch that is not planned.
    #[error("data set '{dataset}' is not complete: batch {batch} is not planned yet")]
    Unplanned {
        /// The data set.
        dataset: String,
        /// The first such batch.
        batch: u64,
    },
    /// The data set has recordings without a shard.
    #[error("data set '{dataset}' is not complete: {left} recordings are left")]
    Incomplete {
        /// The data set.
        dataset: String,
        /// Recordings without a shard.
        left: u64,
    },
    /// A task of the runtime was lost.
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
            Self::Lost(_) => Kind::Bug,
            _ => Kind::Permanent,
        }
    }

    pub(crate) fn damaged(key: &str, why: impl std::fmt::Display) -> Self {
        Self::Damaged { key: key.into(), why: why.to_string() }
    }
}
