//! A store with a sealed data set in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Runtime;
use voxage_contract::sealed::SEALED_FORMAT;
use voxage_contract::{
    AudioInfo, FeatureSpec, Features, Group, Mel, MelStorage, N_MELS, Name, Recording, Reject,
    SealedManifest, SealedShard, ShardId, Split, keys,
};
use voxage_dataset::{
    Batches, Cache, Columns, Dataset, Order, Pass, Result, Sample, Samples, SplitRule,
};
use voxage_shards::{Row, Shard, encode};
use voxage_transport::{Dir, Store};

pub const RULE: SplitRule = SplitRule { validation: 0.2, test: 0.2, turn: 0, fold: None };

/// Rows of a shard.
pub const ROWS: usize = 20;

pub struct House {
    pub runtime: Runtime,
    pub store: Arc<dyn Store>,
    pub folder: tempfile::TempDir,
}

/// What is asked for in these tests if nothing else is said.
pub const PASS: Pass =
    Pass { split: Split::Train, order: Order::Stored, columns: Columns::All, start: 0 };

/// Every tenth row is a reject, and every eleventh has no age; two make a speaker. Each
/// spectrogram has its id in its last cell.
pub fn row(id: usize, split: Split) -> Row {
    let mut recording = Recording {
        id: id.to_string(),
        speaker: format!("s{}", id / 2),
        age_years: (id % 11 != 10).then_some(id as f64 / 100.0 + 1.0),
        ..Recording::default()
    };
    recording.set_split(split);
    let mut cells = vec![-1.0; (1 + id % 7) * N_MELS];
    cells[0] = id as f32;
    let features = Features {
        audio: AudioInfo::default(),
        mel: Mel::encode(&cells, MelStorage::U8),
        tabular: vec![None; FeatureSpec::default().columns().count()],
        embedding: None,
        warnings: vec![],
    };
    let reject = Reject::new("decode", "corrupt", "");
    Row { recording, outcome: if id % 10 == 9 { Err(reject) } else { Ok(features) } }
}

/// Whether [`row`] counts.
pub fn counts(id: usize) -> bool {
    id % 10 != 9 && id % 11 != 10
}

/// The name of the n-th shard of tests.
pub fn shard_id(n: usize) -> ShardId {
    let recording = Recording { id: n.to_string(), ..Recording::default() };
    let group = Group { recordings: vec![recording] };
    group.shard_id("file:///", &FeatureSpec::default().id())
}

pub fn name() -> Name {
    Name::nearest("d")
}

/// What is sealed of a shard.
pub fn sealed(id: ShardId, bytes: &bytes::Bytes) -> SealedShard {
    let footer = Shard::open(bytes.clone()).unwrap().footer().clone();
    SealedShard {
        id,
        bytes: bytes.len() as u64,
        digest: footer.digest,
        rows: footer.rows,
        rejects: footer.rejects,
        replaced: vec![],
    }
}

pub fn manifest(shards: Vec<SealedShard>) -> SealedManifest {
    let spec = FeatureSpec::default();
    SealedManifest {
        cancelled: Vec::new(),
        format: SEALED_FORMAT,
        dataset: name(),
        spec_id: spec.id(),
        spec,
        plans: 1,
        submitted: 0,
        rows: shards.iter().map(|shard| shard.rows).sum(),
        rejects: shards.iter().map(|shard| shard.rejects).sum(),
        shards,
    }
}

impl House {
    /// Without a data set.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Dir::open(folder.path().join("root")).unwrap());
        Self { runtime: Runtime::new().unwrap(), store, folder }
    }

    /// With shards of [`ROWS`] rows; of the last one, the first row is replaced.
    pub fn new(shards: usize, split: impl Fn(usize) -> Split) -> Self {
        let house = Self::empty();
        house.fill(shards, split);
        house
    }

    /// A house whose store is another.
    pub fn on(runtime: Runtime, store: Arc<dyn Store>) -> Self {
        Self { runtime, store, folder: tempfile::tempdir().unwrap() }
    }

    pub fn fill(&self, shards: usize, split: impl Fn(usize) -> Split) {
        let mut all = Vec::new();
        for n in 0..shards {
            let rows: Vec<_> = (n * ROWS..(n + 1) * ROWS).map(|id| row(id, split(id))).collect();
            let id = shard_id(n);
            let bytes = encode(&id.to_string(), &FeatureSpec::default(), &rows).unwrap();
            self.put(&key(n), &bytes);
            let mut sealed = sealed(id, &bytes);
            if n + 1 == shards {
                sealed.replaced = vec![0];
                sealed.rows -= 1;
            }
            all.push(sealed);
        }
        self.seal(all);
    }

    pub fn put(&self, key: &str, bytes: &bytes::Bytes) {
        self.runtime.block_on(self.store.put_new(key, bytes.clone())).unwrap();
    }

    pub fn seal(&self, shards: Vec<SealedShard>) {
        let bytes = serde_json::to_vec(&manifest(shards)).unwrap();
        self.put(&keys::manifest(&name(), 1), &bytes.into());
    }

    pub fn try_open(&self, cache: Option<Cache>) -> Result<Dataset> {
        let key = keys::manifest(&name(), 1);
        Dataset::open(Arc::clone(&self.store), self.runtime.handle(), &key, RULE, cache)
    }

    pub fn open(&self) -> Dataset {
        self.try_open(None).unwrap()
    }

    /// The file of a shard, of a house on a directory.
    pub fn file(&self, n: usize) -> PathBuf {
        self.folder.path().join("root").join(key(n))
    }
}

/// The key of the n-th shard.
pub fn key(n: usize) -> String {
    keys::shard(&name(), &FeatureSpec::default().id(), &shard_id(n))
}

/// The number of a sample, as its spectrogram has it.
pub fn number(sample: &Sample) -> usize {
    let mel = sample.mel();
    let id: usize = sample.id().parse().unwrap();
    assert_eq!(mel.n_frames, 1 + id % 7);
    if !mel.bytes.is_empty() {
        assert_eq!(mel.to_db()[0].round(), id as f32);
    }
    id
}

/// The numbers of all samples of a batch.
pub fn numbers(_: u64, samples: &mut Samples<'_>) -> Vec<usize> {
    samples.map(|sample| number(&sample)).collect()
}

/// The numbers of a pass, in batches.
pub fn batches(dataset: &Dataset, pass: Pass, size: usize, threads: usize) -> Batches<Vec<usize>> {
    dataset.batches(pass, size, threads, numbers)
}

/// The numbers of a pass.
pub fn pass(dataset: &Dataset, pass: Pass) -> Vec<usize> {
    batches(dataset, pass, 8, 2).flat_map(Result::unwrap).collect()
}

pub fn copy_over(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}
