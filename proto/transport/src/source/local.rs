//! Audio in files of this machine.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::io::Errno;
use voxage_contract::Reject;

use super::{Stat, changed, fetch, missing, relative};

/// Size and etag of a source.
///
/// # Errors
/// As the file system says; only a regular file is a source.
pub fn stat(root: &str, path: &str) -> io::Result<Stat> {
    tell(&regular(&locate(root, path)?)?)
}

/// As [`stat`], of a source that links must not lead out of `fence`, if there is one.
pub(super) fn stat_within(root: &str, path: &str, fence: Option<&str>) -> io::Result<Stat> {
    tell(&regular(&resolve(root, path, fence)?)?)
}

/// Opens a source that is as it was planned, and not too large.
///
/// The outer error is the world's fault, the inner one that of the recording.
pub(super) fn open(
    root: &str,
    path: &str,
    planned: Option<&Stat>,
    limit_bytes: u64,
    fence: Option<&str>,
) -> io::Result<Result<File, Reject>> {
    let open = || {
        let resolved = resolve(root, path, fence)?;
        let found = tell(&regular(&resolved)?)?;
        if planned.is_some_and(|planned| *planned != found) {
            return Ok(Err(changed(path)));
        }
        if found.size_bytes > limit_bytes {
            return Ok(Err(Reject::too_large(limit_bytes >> 20)));
        }
        File::open(resolved).map(Ok)
    };
    match open() {
        // The planner found it: a folder that is not mounted must not cost its recordings.
        Err(error)
            if planned.is_some() && error.kind() == io::ErrorKind::NotFound && is_bare(root) =>
        {
            let why = "nothing is in its audio root: is that mounted on this machine?";
            Err(io::Error::other(why))
        }
        Err(error) => reject(&error, root, path).map(Err).ok_or(error),
        opened => opened,
    }
}

/// Whether a root has nothing in it, or is not there.
fn is_bare(root: &str) -> bool {
    let folder = root.strip_prefix("file://").unwrap_or(root);
    std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

fn tell(metadata: &Metadata) -> io::Result<Stat> {
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Stat {
        size_bytes: metadata.len(),
        etag: format!("{:x}-{:x}", modified.as_nanos(), metadata.len()),
    })
}

/// A pipe or a device may never end, or never begin.
fn regular(path: &Path) -> io::Result<Metadata> {
    let metadata = std::fs::metadata(path)?;
    match metadata.file_type() {
        kind if kind.is_file() => Ok(metadata),
        kind if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
}

/// The reject that a failed call makes of a recording; none if the world
/// was in the way and trying again may help.
fn reject(error: &io::Error, root: &str, path: &str) -> Option<Reject> {
    use io::ErrorKind as E;
    let path = format!("{}{path}", root.strip_prefix("file://").unwrap_or(root));
    let (code, message) = match error.kind() {
        E::NotFound | E::NotADirectory => return Some(missing(&path)),
        E::PermissionDenied => ("unreadable_audio", format!("{path} may not be read: {error}")),
        E::IsADirectory => ("unreadable_audio", format!("{path} is a folder, not a recording")),
        E::InvalidInput | E::InvalidFilename => {
            ("unreadable_audio", format!("{path} cannot be opened: {error}"))
        }
        _ if Errno::from_io_error(error) == Some(Errno::LOOP) => {
            ("unreadable_audio", format!("{path} is a symbolic link that leads nowhere"))
        }
        _ => return None,
    };
    Some(fetch(code, message))
}

fn locate(root: &str, path: &str) -> io::Result<PathBuf> {
    let inside = relative(root, path).filter(|_| !path.starts_with('/')).ok_or_else(|| {
        io::Error::new(io::ErrorKind::PermissionDenied, "the path leaves its audio root")
    })?;
    let folder = root.strip_prefix("file://").ok_or(io::ErrorKind::Unsupported)?;
    Ok(Path::new(folder).join(inside))
}

/// Where a source is. With a fence, links are followed first: the file must lie in its
/// root and in the fence, whatever is between.
fn resolve(root: &str, path: &str, fence: Option<&str>) -> io::Result<PathBuf> {
    let located = locate(root, path)?;
    let Some(fence) = fence else { return Ok(located) };
    let resolved = located.canonicalize()?;
    for root in [root, fence] {
        let folder = root.strip_prefix("file://").ok_or(io::ErrorKind::Unsupported)?;
        if !resolved.starts_with(Path::new(folder).canonicalize()?) {
            let why = "a link leads it out of its audio root";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
    }
    Ok(resolved)
}
