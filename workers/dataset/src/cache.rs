//! Shards of a store that is far away, kept on a local disk.
//!
//! Always holds: a file appears whole or not at all, under the name of its shard and the
//! digest of its rows; files take no more than the limit together, those of processes that
//! share the folder included: whoever writes holds the folder's lock, a file that says how
//! much they take at most, so that nobody has to look at all of them for each that comes. What
//! was used longest ago goes first. That a file cannot be kept is no error: it is read from the store
//! again. It does not know what is in a file: whoever reads one checks it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use voxage_contract::SealedShard;

use crate::{Error, Result, map};

const LOCK: &str = "lock";
const SHARD: &str = ".parquet";

/// A folder with shards. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: Arc<Path>,
    limit_bytes: u64,
}

/// A file of the cache; those that go first come first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    /// Who writes holds the lock: a file that was not renamed is of one who died.
    whole: bool,
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl Cache {
    /// Opens the cache in a folder, where it has one of its own, for at most `limit_bytes` of
    /// shards.
    ///
    /// # Errors
    /// If it cannot be written to, or the disk has less room than the limit.
    pub fn open(folder: impl Into<PathBuf>, limit_bytes: u64) -> Result<Self> {
        // All that is in it may be dropped: it must not be anyone else's.
        let folder = folder.into().join("voxage-shards");
        let failed = |error: io::Error| {
            let why = format!("{error}: name a folder that may be written to");
            Error::Cache { folder: folder.clone(), why }
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        let cache = Self { folder: folder.as_path().into(), limit_bytes };
        let lock = cache.lock().map_err(failed)?;
        let used_bytes = cache.make_room(limit_bytes).map_err(failed)?;
        lock.write_all_at(&used_bytes.to_le_bytes(), 0).map_err(failed)?;
        let disk = rustix::fs::statvfs(&folder).map_err(|error| failed(error.into()))?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        if used_bytes.saturating_add(free_bytes) < limit_bytes {
            let why = format!(
                "it may take {} MiB, of which it has {}, but the disk has only {} MiB left: lower the limit or name a folder on another disk",
                limit_bytes >> 20,
                used_bytes >> 20,
                free_bytes >> 20
            );
            return Err(Error::Cache { folder, why });
        }
        Ok(cache)
    }

    /// The file of a shard, if it is there and as long as it must be.
    pub(crate) fn get(&self, shard: &SealedShard) -> Option<Bytes> {
        let path = self.path(shard);
        let file = File::open(&path).ok()?;
        // For the order in which files go; on a full disk it stays as it is.
        let _ = file.set_modified(SystemTime::now());
        map::read(&path).ok().filter(|bytes| bytes.len() as u64 == shard.bytes)
    }

    /// Keeps the file of a shard, if there is room.
    pub(crate) fn put(&self, shard: &SealedShard, bytes: &[u8]) {
        if bytes.len() as u64 <= self.limit_bytes {
            // The disk may be full, or the folder gone: then there is no cache.
            let _ = self.try_put(&self.path(shard), bytes);
        }
    }

    fn try_put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (lock, bytes_more) = (self.lock()?, bytes.len() as u64);
        let room = self.limit_bytes - bytes_more;
        let mut used = [0; 8];
        let known = lock.read_exact_at(&mut used, 0).map(|()| u64::from_le_bytes(used));
        let used_bytes = match known {
            Ok(used_bytes) if used_bytes <= room => used_bytes,
            // More than it needs, so that the next ones find room, too.
            _ => self.make_room(room - room / 16)?,
        };
        // Before the file is there: whoever dies in between leaves too much said, not too little.
        lock.write_all_at(&(used_bytes + bytes_more).to_le_bytes(), 0)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let staged = self.folder.join(format!("{}-{number}.tmp", std::process::id()));
        let written = File::create_new(&staged)
            // Written, it would be as old as the kernel's last tick, older than what was used since.
            .and_then(|mut file| {
                file.write_all(bytes)?;
                file.set_modified(SystemTime::now())
            })
            .and_then(|()| fs::rename(&staged, path));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&staged);
        })
    }

    /// Drops a file that is not what it should be.
    pub(crate) fn drop(&self, shard: &SealedShard) {
        let _ = fs::remove_file(self.path(shard));
    }

    fn path(&self, shard: &SealedShard) -> PathBuf {
        self.folder.join(format!("{}-{}{SHARD}", shard.id, shard.digest))
    }

    /// Held until it is dropped, or its process ends.
    fn lock(&self) -> io::Result<File> {
        let path = self.folder.join(LOCK);
        let file =
            File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    }

    /// Drops files until the rest take no more than `room` bytes; gives what they take.
    fn make_room(&self, room: u64) -> io::Result<u64> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name() != LOCK {
                // Another process may just have dropped it.
                let Ok(about) = entry.metadata() else { continue };
                let (used, path) = (about.modified()?, entry.path());
                let whole = path.to_string_lossy().ends_with(SHARD);
                kept.push(Kept { whole, used, bytes: about.len(), path });
            }
        }
        kept.sort_unstable();
        let mut left_bytes = kept.iter().map(|file| file.bytes).sum();
        for file in kept {
            if file.whole && left_bytes <= room {
                break;
            }
            match fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => left_bytes -= file.bytes,
            }
        }
        Ok(left_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::{FeatureSpec, Group, Recording};

    /// The n-th shard of tests, of 100 bytes.
    fn shard(n: usize) -> SealedShard {
        let recording = Recording { id: n.to_string(), ..Recording::default() };
        let id = Group { recordings: vec![recording] }
            .shard_id("file:///", &FeatureSpec::default().id());
        let (digest, replaced) = (n.to_string(), vec![]);
        SealedShard { id, bytes: 100, digest, rows: 1, rejects: 0, replaced }
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), 300).unwrap();
        let kept = || (0..5).filter(|n| cache.path(&shard(*n)).exists()).collect::<Vec<usize>>();
        for n in [0, 1, 2] {
            cache.put(&shard(n), &[0; 100]);
        }
        assert_eq!(kept(), [0, 1, 2]);
        assert!(cache.get(&shard(0)).is_some());
        // Room for a sixteenth more than it needs: two go.
        cache.put(&shard(3), &[0; 100]);
        assert_eq!(kept(), [0, 3]);
        assert!(cache.get(&shard(1)).is_none());
        assert!(cache.get(&shard(0)).is_some());
        // A cache that is opened with less room drops the same way.
        Cache::open(folder.path(), 100).unwrap();
        assert_eq!(kept(), [0]);
    }
}
