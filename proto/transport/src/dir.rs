//! A directory as a store.
//!
//! Always holds: an object appears whole or not at all. It is written to an unnamed
//! file, made durable, then hard-linked into place; the link decides who is first. A
//! process that dies before the link leaves nothing behind.
//! Not for several machines over a file system without atomic links.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;
use tokio::task::spawn_blocking;

use crate::store::{Listing, ObjectMeta, Put, Store, checked};
use crate::{Error, Result};

/// Where named staging files live on file systems without unnamed ones.
const STAGING: &str = ".staging";

/// A staging file this old belongs to a process that died.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// A directory as a store.
#[derive(Debug, Clone)]
pub struct Dir {
    root: PathBuf,
}

impl Dir {
    /// Opens a directory, creating it if need be.
    ///
    /// # Errors
    /// If it cannot be created or is not a directory.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let failed = |error| Error::io(format!("open store {}", root.display()), error);
        fs::create_dir_all(&root).map_err(failed)?;
        sweep(&root.join(STAGING)).map_err(failed)?;
        Ok(Self { root })
    }

    /// Opens a directory that must be there: for those who only read.
    ///
    /// # Errors
    /// If it is not there or is not a directory.
    pub fn open_existing(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        match fs::read_dir(&root) {
            Ok(_) => Ok(Self { root }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoStore(root)),
            Err(error) => Err(Error::io(format!("open store {}", root.display()), error)),
        }
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        Ok(self.root.join(checked(key)?))
    }

    /// Runs file work on an object off the async runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        verb: &'static str,
        key: &str,
        work: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (path, root, key) = (self.path(key)?, self.root.clone(), key.to_owned());
        spawn_blocking(move || {
            work(&path, &root).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::NotFound(key),
                _ => Error::io(format!("{verb} {}", path.display()), error),
            })
        })
        .await?
    }
}

#[async_trait]
impl Store for Dir {
    async fn get(&self, key: &str) -> Result<Bytes> {
        self.blocking("read", key, |path, _| fs::read(path).map(Bytes::from)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let (start, end) = (range.start, range.end);
        let read = self
            .blocking("read", key, move |path, _| {
                let mut file = File::open(path)?;
                if end < start || end > file.metadata()?.len() {
                    return Ok(None);
                }
                file.seek(SeekFrom::Start(start))?;
                let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
                file.read_exact(&mut bytes)?;
                Ok(Some(Bytes::from(bytes)))
            })
            .await?;
        read.ok_or_else(|| Error::BadRange { key: key.into(), start, end })
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        let metadata = self.blocking("stat", key, |path, _| fs::metadata(path)).await?;
        Ok(meta(key.into(), &metadata))
    }

    fn list<'a>(&'a self, prefix: &str, after: Option<&str>) -> Listing<'a> {
        let (root, prefix, after) =
            (self.root.clone(), prefix.to_owned(), after.map(str::to_owned));
        let listed = async move {
            let found = spawn_blocking(move || {
                let mut found = Vec::new();
                walk(&root, &prefix, &mut found).map_err(|error| {
                    Error::io(format!("list {}", root.join(&prefix).display()), error)
                })?;
                found.retain(|object| after.as_ref().is_none_or(|after| object.key > *after));
                found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
                Ok::<_, Error>(found)
            })
            .await??;
            Ok::<_, Error>(stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(listed).try_flatten().boxed()
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.path(key).ok()
    }

    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<Put> {
        self.blocking("write", key, move |path, root| {
            if path.exists() {
                return Ok(Put::Exists);
            }
            let folder = path.parent().unwrap_or(root);
            create_durably(folder, root)?;
            let linked = match put_unnamed(folder, path, &bytes) {
                Err(error) if no_unnamed_files(&error) => {
                    put_named(&root.join(STAGING), path, &bytes)
                }
                linked => linked,
            };
            match linked {
                Ok(()) => {
                    File::open(folder)?.sync_all()?;
                    Ok(Put::Created)
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Put::Exists),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match self.blocking("delete", key, |path, _| fs::remove_file(path)).await {
            Err(Error::NotFound(_)) => Ok(()),
            deleted => deleted,
        }
    }
}

/// Creates `folder` and what is missing above it, each durable before it is used.
fn create_durably(folder: &Path, root: &Path) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(root);
    create_durably(above, root)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(above)?.sync_all(),
    }
}

/// Writes an unnamed file and links it to `path`.
fn put_unnamed(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = File::from(open(folder, flags, Mode::from_raw_mode(0o644))?);
    file.write_all(bytes)?;
    file.sync_all()?;
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// Whether the file system cannot make unnamed files.
fn no_unnamed_files(error: &io::Error) -> bool {
    let answers = [Errno::OPNOTSUPP, Errno::INVAL, Errno::ISDIR];
    answers.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Writes a named staging file, links it to `path` and removes the staging name.
fn put_named(staging: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(staging)?;
    let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let staged = staging.join(name);
    let done = (|| {
        let mut file = File::create(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&staged, path)
    })();
    fs::remove_file(&staged)?;
    done
}

/// Removes what processes that died have left in the staging folder.
fn sweep(staging: &Path) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(staging) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let age = SystemTime::now().duration_since(entry.metadata()?.modified()?);
        if age.is_ok_and(|age| age > STALE) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn meta(key: String, metadata: &fs::Metadata) -> ObjectMeta {
    ObjectMeta { key, size: metadata.len(), changed_unix_s: metadata.mtime() }
}

/// Adds every object under the folder `prefix`. A folder that is not there is empty.
fn walk(root: &Path, prefix: &str, found: &mut Vec<ObjectMeta>) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(prefix)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let key = format!("{prefix}{name}");
        let metadata = match fs::metadata(entry.path()) {
            // Deleted meanwhile, or a link that leads nowhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            walk(root, &format!("{key}/"), found)?;
        } else {
            found.push(meta(key, &metadata));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use std::sync::Arc;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn conforms() {
        let folder = tempfile::tempdir().unwrap();
        conformance::store(Arc::new(Dir::open(folder.path()).unwrap())).await;
    }

    #[tokio::test]
    async fn survives_reopening_and_leaves_only_objects() {
        let folder = tempfile::tempdir().unwrap();
        let store = Dir::open(folder.path()).unwrap();
        store.put_new("a/b", Bytes::from_static(b"x")).await.unwrap();
        let again = Dir::open(folder.path()).unwrap();
        assert_eq!(again.get("a/b").await.unwrap(), "x");
        let entries: Vec<_> = fs::read_dir(folder.path().join("a")).unwrap().collect();
        assert_eq!(entries.len(), 1);
    }

    #[test]
    fn a_named_staging_file_does_the_same_work() {
        let folder = tempfile::tempdir().unwrap();
        let (staging, path) = (folder.path().join(STAGING), folder.path().join("object"));
        put_named(&staging, &path, b"one").unwrap();
        let second = put_named(&staging, &path, b"two").unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
    }

    #[test]
    fn stale_staging_files_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let staging = folder.path().join(STAGING);
        fs::create_dir(&staging).unwrap();
        let (old, fresh) = (staging.join("old"), staging.join("fresh"));
        let long_ago = SystemTime::now() - 2 * STALE;
        File::create(&old).unwrap().set_modified(long_ago).unwrap();
        File::create(&fresh).unwrap();
        Dir::open(folder.path()).unwrap();
        assert!(!old.exists() && fresh.exists());
    }
}
