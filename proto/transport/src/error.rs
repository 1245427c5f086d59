//! What can go wrong on the way to a store or a queue.

use std::io;
use std::path::PathBuf;

use voxage_contract::Kind;

/// A failed store or queue call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such store.
    #[error("there is no store at {}: name the root of one, or run a manifest into it", .0.display())]
    NoStore(PathBuf),
    /// There is no such object.
    #[error("{0}: there is no such object")]
    NotFound(String),
    /// The key does not name an object.
    #[error("'{0}' is not a key: keys are relative, without empty, '.' or '..' segments")]
    BadKey(String),
    /// The range leaves the object.
    #[error("{key}: range {start}..{end} leaves the object")]
    BadRange {
        /// The object.
        key: String,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
    },
    /// The operating system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, on what.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The queue's broker failed or said no.
    #[error("{what}: {text}")]
    Queue {
        /// What was tried, on what.
        what: String,
        /// Why it failed, and what to do if a person can.
        text: String,
        /// What to do next.
        kind: Kind,
    },
    /// The URI names no place.
    #[error("'{uri}': {why}")]
    BadUri {
        /// The URI, without a user.
        uri: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// This process may not read that audio.
    #[error(
        "audio root {root} may not be read here, only {allowed}: add it to the setting audio_roots, or submit audio below one of them"
    )]
    RootNotAllowed {
        /// The root that was asked for.
        root: String,
        /// The roots that may be read.
        allowed: String,
    },
    /// An S3 server said no, or nothing.
    #[error("{what}: {why}")]
    S3 {
        /// What was tried, on what.
        what: String,
        /// Why it failed, and what can be done.
        why: String,
        /// What to do next.
        kind: Kind,
    },
    /// A task of the runtime was lost.
    #[error("background work was lost: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

impl Error {
    /// What to do next.
    #[must_use]
    pub fn kind(&self) -> Kind {
        use io::ErrorKind as E;
        match self {
            Self::NoStore(_)
            | Self::NotFound(_)
            | Self::BadUri { .. }
            | Self::RootNotAllowed { .. } => Kind::Permanent,
            Self::S3 { kind, .. } => *kind,
            Self::Io { source, .. } => match source.kind() {
                E::PermissionDenied
                | E::ReadOnlyFilesystem
                | E::NotADirectory
                | E::IsADirectory => Kind::Permanent,
                _ => Kind::Transient,
            },
            Self::Queue { kind, .. } => *kind,
            Self::BadKey(_) | Self::BadRange { .. } | Self::Lost(_) => Kind::Bug,
        }
    }

    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}
