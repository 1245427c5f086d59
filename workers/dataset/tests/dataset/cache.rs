//! The cache: the same samples with and without, whatever happens to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use voxage_contract::Split;
use voxage_dataset::{Cache, Columns, Order, Pass};
use voxage_transport::{Dir, Listing, ObjectMeta, Put, Result, Store};

use crate::house::{House, PASS, copy_over, pass};

const SHUFFLED: Pass = Pass { order: Order::Shuffled { seed: 1, epoch: 1 }, ..PASS };

/// A store that counts the whole objects read from it, and is not known to be on this machine.
#[derive(Debug)]
struct Counted(Dir, Arc<AtomicUsize>);

#[async_trait]
impl Store for Counted {
    async fn get(&self, key: &str) -> Result<Bytes> {
        self.1.fetch_add(usize::from(key.ends_with(".parquet")), Ordering::SeqCst);
        self.0.get(key).await
    }
    async fn get_range(&self, key: &str, range: std::ops::Range<u64>) -> Result<Bytes> {
        self.0.get_range(key, range).await
    }
    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.0.head(key).await
    }
    fn list<'a>(&'a self, prefix: &str, after: Option<&str>) -> Listing<'a> {
        self.0.list(prefix, after)
    }
    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<Put> {
        self.0.put_new(key, bytes).await
    }
    async fn delete(&self, key: &str) -> Result<()> {
        self.0.delete(key).await
    }
}

/// A house, the shards read from its store, and a folder for a cache.
fn house(shards: usize) -> (House, Arc<AtomicUsize>, PathBuf) {
    let mut house = House::new(shards, |_| Split::Train);
    let reads = Arc::new(AtomicUsize::new(0));
    let dir = Dir::open(house.folder.path().join("root")).unwrap();
    house.store = Arc::new(Counted(dir, Arc::clone(&reads)));
    let folder = house.folder.path().join("cache");
    (house, reads, folder)
}

/// All files of a cache.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder.join("voxage-shards")).unwrap();
    let mut files: Vec<_> = all.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn shards(folder: &Path) -> Vec<PathBuf> {
    let mut files = files(folder);
    files.retain(|path| path.extension().is_some_and(|kind| kind == "parquet"));
    files
}

fn bytes(files: &[PathBuf]) -> u64 {
    files.iter().map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn a_small_data_set_is_read_once() {
    let (house, reads, _) = house(6);
    let dataset = house.open();
    let table = Pass { columns: Columns::Table, ..SHUFFLED };
    let (expected, tables) = (pass(&dataset, SHUFFLED), pass(&house.open(), table));
    reads.store(0, Ordering::SeqCst);
    assert_eq!(pass(&dataset, SHUFFLED), expected);
    assert_eq!(pass(&dataset, table), tables);
    assert_eq!(reads.load(Ordering::SeqCst), 0);
}

#[test]
fn a_cached_shard_is_not_read_from_the_store() {
    let (house, reads, folder) = house(6);
    let expected = pass(&house.open(), SHUFFLED);
    assert_eq!(reads.swap(0, Ordering::SeqCst), 6);
    let cache = Cache::open(&folder, 100 << 20).unwrap();
    let dataset = house.try_open(Some(cache)).unwrap();
    for reads_from_store in [6, 0, 0] {
        assert_eq!(pass(&dataset, SHUFFLED), expected);
        assert_eq!(reads.swap(0, Ordering::SeqCst), reads_from_store);
    }
    // Another process finds it, too.
    let cache = Cache::open(&folder, 100 << 20).unwrap();
    assert_eq!(pass(&house.try_open(Some(cache)).unwrap(), SHUFFLED), expected);
    assert_eq!(reads.load(Ordering::SeqCst), 0);
}

#[test]
fn a_cached_shard_that_is_damaged_is_read_again() {
    let (house, reads, folder) = house(6);
    let expected = pass(&house.open(), SHUFFLED);
    let open = || house.try_open(Some(Cache::open(&folder, 100 << 20).unwrap())).unwrap();
    pass(&open(), SHUFFLED);
    let whole: Vec<_> = shards(&folder).iter().map(|file| std::fs::read(file).unwrap()).collect();
    let harms: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.clear(),
        |bytes| {
            // Not one byte: that may be one that nobody reads, such as a page's statistics.
            let middle = bytes.len() / 2;
            bytes[middle..].iter_mut().take(256).for_each(|byte| *byte ^= 1);
        },
        |bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        },
        |bytes| bytes.fill(0),
    ];
    for (file, harm) in shards(&folder).iter().zip(harms) {
        copy_over(file, harm);
    }
    reads.store(0, Ordering::SeqCst);
    assert_eq!(pass(&open(), SHUFFLED), expected);
    assert_eq!(reads.load(Ordering::SeqCst), 5);
    let mended: Vec<_> = shards(&folder).iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(mended == whole);
}

#[test]
fn a_full_cache_stays_within_its_limit() {
    let (house, _, folder) = house(6);
    let expected = pass(&house.open(), PASS);
    let sizes = (0..6).map(|n| house.file(n).metadata().unwrap().len()).collect::<Vec<_>>();
    let limit = sizes.iter().sum::<u64>() - 1;
    let cache = Cache::open(&folder, limit).unwrap();
    let dataset = house.try_open(Some(cache)).unwrap();
    assert_eq!(pass(&dataset, PASS), expected);
    assert!(bytes(&shards(&folder)) <= limit);
    assert_eq!(shards(&folder).len(), 5);

    // A limit below a shard keeps nothing, and harms nothing.
    let cache = Cache::open(&folder, 1000).unwrap();
    assert_eq!(shards(&folder).len(), 0);
    assert_eq!(pass(&house.try_open(Some(cache)).unwrap(), PASS), expected);
    assert_eq!(shards(&folder).len(), 0);
}

#[test]
fn a_cache_that_cannot_be_written_to_is_no_error() {
    let (house, reads, folder) = house(3);
    let expected = pass(&house.open(), PASS);
    let cache = Cache::open(&folder, 100 << 20).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    reads.store(0, Ordering::SeqCst);
    assert_eq!(pass(&house.try_open(Some(cache)).unwrap(), PASS), expected);
    assert_eq!(reads.load(Ordering::SeqCst), 3);
}

#[test]
fn a_cache_that_the_disk_has_no_room_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Cache::open(folder.path(), 1 << 60).unwrap_err().to_string();
    assert!(error.contains("lower the limit") && error.contains("voxage-shards"), "{error}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Cache::open(&file, 1 << 20).unwrap_err().to_string();
    assert!(error.contains("name a folder"), "{error}");
}

/// What another process does: passes over the house in `VOXAGE_TEST_HOUSE`, again and again.
#[test]
fn another_process() {
    let Some(folder) = std::env::var_os("VOXAGE_TEST_HOUSE").map(PathBuf::from) else { return };
    let limit = std::env::var("VOXAGE_TEST_LIMIT").unwrap().parse().unwrap();
    let dir = Dir::open_existing(folder.join("root")).unwrap();
    let store = Arc::new(Counted(dir, Arc::default()));
    let house = House::on(tokio::runtime::Runtime::new().unwrap(), store);
    let dataset = || house.try_open(Some(Cache::open(folder.join("cache"), limit).unwrap()));
    let expected = pass(&house.open(), SHUFFLED);
    for _ in 0..std::env::var("VOXAGE_TEST_PASSES").unwrap().parse().unwrap() {
        assert_eq!(pass(&dataset().unwrap(), SHUFFLED), expected);
    }
}

fn start(folder: &Path, limit: u64, passes: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache::another_process"])
        .env("VOXAGE_TEST_HOUSE", folder)
        .env("VOXAGE_TEST_LIMIT", limit.to_string())
        .env("VOXAGE_TEST_PASSES", passes.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn processes_share_a_cache_and_may_be_killed() {
    let (house, _, folder) = house(12);
    let place = house.folder.path();
    let sizes = (0..12).map(|n| house.file(n).metadata().unwrap().len());
    // Room for half: both drop and write all the time.
    let limit = sizes.sum::<u64>() / 2;
    let mut pair = [start(place, limit, 12), start(place, limit, 12)];
    let mut killed = start(place, limit, u32::MAX);
    let begun = Instant::now();
    let mut round = 0u64;
    while pair.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        std::thread::sleep(Duration::from_millis(20 + round * 7 % 60));
        killed.kill().unwrap();
        killed.wait().unwrap();
        killed = start(place, limit, u32::MAX);
        round += 1;
        assert!(begun.elapsed() < Duration::from_secs(100), "they do not end");
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    for child in &mut pair {
        assert!(child.wait().unwrap().success());
    }
    assert!(round > 1, "nobody was killed");
    let dataset = house.try_open(Some(Cache::open(&folder, limit).unwrap())).unwrap();
    assert!(bytes(&shards(&folder)) <= limit);
    assert_eq!(pass(&dataset, SHUFFLED), pass(&house.open(), SHUFFLED));
    let left = files(&folder).len() - shards(&folder).len();
    assert_eq!(left, 1, "only the lock is there beside shards");
}
