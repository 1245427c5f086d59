//! Where audio is read from: a root named by a URI, and relative paths under it.
//!
//! Always holds: a path cannot lead outside its root. Roots are `file://` followed by an
//! absolute path, or `s3://` by a bucket and what keys start with; both are taken as they
//! are, without percent-encoding, and end in '/'.

mod audio;
mod local;
mod object;
mod sources;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Component, Path};

pub use audio::Audio;
pub use local::stat;
pub use sources::Sources;
use voxage_contract::Reject;

use crate::s3::Location;
use crate::{Error, Result};

/// The longest key that S3 takes, in bytes.
const LONGEST_KEY: usize = 1024;

/// What a source is before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Changes whenever its content does.
    pub etag: String,
}

/// The URI of what a person calls an audio root: a directory, or `s3://bucket/prefix`.
///
/// # Errors
/// If a directory is not there, is none, or its path is no text; if it names no place.
pub fn root(text: &str) -> Result<String> {
    match text.split_once("://") {
        Some(("s3", _)) => Ok(Location::parse(text)?.uri()),
        Some(_) => {
            let why = "an audio root is a directory, or s3://bucket/prefix";
            Err(Error::BadUri { uri: crate::s3::redacted(text), why })
        }
        None => {
            let failed = |error| Error::io(format!("audio root {text}"), error);
            root_uri(Path::new(text)).map_err(failed)
        }
    }
}

/// The URI of a directory that holds audio.
///
/// # Errors
/// If it is not there, is no directory, or its path is no text.
pub fn root_uri(directory: &Path) -> io::Result<String> {
    let absolute = directory.canonicalize()?;
    if !absolute.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let text = absolute.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    Ok(format!("file://{}/", text.trim_end_matches('/')))
}

/// A path as a manifest has it, made relative to the root; none if it leaves the root.
#[must_use]
pub fn relative(root: &str, path: &str) -> Option<String> {
    if root.starts_with("s3://") {
        return key_below(root, path);
    }
    let root = root.strip_prefix("file://")?;
    let joined = Path::new(root).join(path);
    let mut parts = Vec::new();
    for component in joined.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let whole = format!("/{}", parts.join("/"));
    let inside = whole.strip_prefix(root)?;
    (!inside.is_empty() && !inside.contains('\0')).then(|| inside.to_owned())
}

/// As [`relative`], for S3: a key has no empty segments, and a whole URI begins as the root.
fn key_below(root: &str, path: &str) -> Option<String> {
    let path = if path.starts_with("s3://") { path.strip_prefix(root)? } else { path };
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" => return None,
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let key = parts.join("/");
    let fits = root.len() + key.len() <= LONGEST_KEY && !key.contains('\0');
    (fits && !key.is_empty()).then_some(key)
}

fn fetch(code: &str, message: String) -> Reject {
    Reject::new("fetch", code, message)
}

fn missing(uri: &str) -> Reject {
    fetch("missing_audio", format!("{uri} is not there: check the path and the audio root"))
}

fn changed(path: &str) -> Reject {
    let message = format!("{path} changed after it was planned: submit its manifest again");
    fetch("source_changed", message)
}
