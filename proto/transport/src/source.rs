//! Where audio is read from: a root named by a URI, and relative paths under it.
//!
//! Always holds: a path cannot lead outside its root. Roots are `file://` followed by
//! an absolute path as it is, without percent-encoding, ending in '/'.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::io::Errno;
use voxage_contract::Reject;

/// What a source is before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Changes whenever its content does.
    pub etag: String,
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

/// Size and etag of a source.
///
/// # Errors
/// As the file system says; only a regular file is a source.
pub fn stat(root: &str, path: &str) -> io::Result<Stat> {
    let metadata = regular(&locate(root, path)?)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Stat {
        size_bytes: metadata.len(),
        etag: format!("{:x}-{:x}", modified.as_nanos(), metadata.len()),
    })
}

/// Opens a source.
///
/// # Errors
/// As the file system says; only a regular file is a source.
pub fn open(root: &str, path: &str) -> io::Result<File> {
    let path = locate(root, path)?;
    regular(&path)?;
    File::open(path)
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

/// The reject that a failed [`open`] or [`stat`] makes of a recording; none if the world
/// was in the way and trying again may help.
#[must_use]
pub fn reject(error: &io::Error, root: &str, path: &str) -> Option<Reject> {
    use io::ErrorKind as E;
    let path = format!("{}{path}", root.strip_prefix("file://").unwrap_or(root));
    let (code, message) = match error.kind() {
        E::NotFound | E::NotADirectory => {
            ("missing_audio", format!("{path} is not there: check the path and the audio root"))
        }
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
    Some(Reject::new("fetch", code, message))
}

fn locate(root: &str, path: &str) -> io::Result<PathBuf> {
    let inside = relative(root, path).filter(|_| !path.starts_with('/')).ok_or_else(|| {
        io::Error::new(io::ErrorKind::PermissionDenied, "the path leaves its audio root")
    })?;
    let folder = root.strip_prefix("file://").ok_or(io::ErrorKind::Unsupported)?;
    Ok(Path::new(folder).join(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_under_their_root() {
        let root = "file:///data/audio/";
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(relative(root, path).as_deref(), expected, "{path}");
        };
        check("a.wav", Some("a.wav"));
        check("./x//é ñ.WAV", Some("x/é ñ.WAV"));
        check("x/../a.wav", Some("a.wav"));
        check("/data/audio/a.wav", Some("a.wav"));
        check("/data/audiobook/a.wav", None);
        check("../audio/a.wav", Some("a.wav"));
        check(".", None);
        check("../a.wav", None);
        check("x/../../a.wav", None);
        check("/etc/passwd", None);
        check("", None);
        check(".", None);
        check("a\0b", None);
    }

    #[test]
    fn opening_obeys_the_root_too() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.wav"), b"abc").unwrap();
        let root = root_uri(folder.path()).unwrap();
        assert_eq!(stat(&root, "a.wav").unwrap().size_bytes, 3);
        assert!(open(&root, "a.wav").is_ok());
        let outside = open(&root, "../a.wav").unwrap_err();
        assert_eq!(outside.kind(), io::ErrorKind::PermissionDenied);
        let missing = stat(&root, "b.wav").unwrap_err();
        assert_eq!(reject(&missing, &root, "b.wav").unwrap().code, "missing_audio");
        std::fs::create_dir(folder.path().join("c.wav")).unwrap();
        let directory = open(&root, "c.wav").unwrap_err();
        assert_eq!(reject(&directory, &root, "c.wav").unwrap().code, "unreadable_audio");
        let rejected = |path: &str| reject(&stat(&root, path).unwrap_err(), &root, path);
        std::os::unix::fs::symlink("loop.wav", folder.path().join("loop.wav")).unwrap();
        assert_eq!(rejected("loop.wav").unwrap().code, "unreadable_audio");
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("endless.wav")).unwrap();
        assert_eq!(rejected("endless.wav").unwrap().code, "unreadable_audio");
        assert_eq!(reject(&io::ErrorKind::TimedOut.into(), &root, "a.wav"), None);
    }

    #[test]
    fn the_etag_follows_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let (root, file) = (root_uri(folder.path()).unwrap(), folder.path().join("a"));
        std::fs::write(&file, b"one").unwrap();
        let first = stat(&root, "a").unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
        std::fs::write(&file, b"two").unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        assert_ne!(stat(&root, "a").unwrap(), first);
    }
}
