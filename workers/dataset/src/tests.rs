//! The laws of the stream, over a real directory and real shards.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Runtime;
use voxage_contract::sealed::SEALED_FORMAT;
use voxage_contract::{
    AudioInfo, FeatureSpec, Features, Group, Mel, MelStorage, N_MELS, Name, Recording, Reject,
    SealedManifest, SealedShard, Split, keys,
};
use voxage_shards::{Columns, Row, Shard, encode};
use voxage_transport::{Dir, Store};

use crate::{Dataset, Error, Order, SplitRule};

const RULE: SplitRule = SplitRule { validation: 0.2, test: 0.2 };

fn row(id: usize, split: Split) -> Row {
    let speaker = format!("s{}", id / 2);
    let mut recording = Recording { id: id.to_string(), speaker, ..Recording::default() };
    recording.set_split(split);
    let features = Features {
        audio: AudioInfo::default(),
        mel: Mel::encode(&[id as f32; N_MELS], MelStorage::U8),
        tabular: vec![None; FeatureSpec::default().columns().count()],
        embedding: None,
        warnings: vec![],
    };
    let reject = Reject::new("decode", "corrupt", "");
    Row { recording, outcome: if id % 10 == 9 { Err(reject) } else { Ok(features) } }
}

struct House {
    runtime: Runtime,
    store: Arc<dyn Store>,
    _folder: tempfile::TempDir,
}

/// Seals shards of 20 recordings each; of the last one, the first row is replaced.
fn house(shards: usize, split: impl Fn(usize) -> Split) -> House {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Dir::open(folder.path()).unwrap());
    let runtime = Runtime::new().unwrap();
    let (dataset, spec) = (Name::nearest("d"), FeatureSpec::default());
    let mut sealed = Vec::new();
    for n in 0..shards {
        let rows: Vec<_> = (n * 20..n * 20 + 20).map(|id| row(id, split(id))).collect();
        let recordings = rows.iter().map(|row| row.recording.clone()).collect();
        let id = Group { recordings }.shard_id("file:///", &spec.id());
        let bytes = encode(&id.to_string(), &spec, &rows).unwrap();
        let key = keys::shard(&dataset, &spec.id(), &id);
        runtime.block_on(store.put_new(&key, bytes.clone())).unwrap();
        let footer = Shard::open(bytes.clone()).unwrap().footer().clone();
        let replaced = if n + 1 == shards { vec![0] } else { vec![] };
        sealed.push(SealedShard {
            id,
            bytes: bytes.len() as u64,
            digest: footer.digest,
            rows: footer.rows - replaced.len() as u64,
            rejects: footer.rejects,
            replaced,
        });
    }
    let manifest = SealedManifest {
        cancelled: Vec::new(),
        format: SEALED_FORMAT,
        dataset: dataset.clone(),
        spec_id: spec.id(),
        spec,
        plans: 1,
        submitted: 0,
        rows: sealed.iter().map(|shard| shard.rows).sum(),
        rejects: sealed.iter().map(|shard| shard.rejects).sum(),
        shards: sealed,
    };
    let bytes = serde_json::to_vec(&manifest).unwrap();
    runtime.block_on(store.put_new(&keys::manifest(&dataset, 1), bytes.into())).unwrap();
    House { runtime, store, _folder: folder }
}

impl House {
    fn open(&self) -> Dataset {
        let key = keys::manifest(&Name::nearest("d"), 1);
        Dataset::open(Arc::clone(&self.store), self.runtime.handle(), &key, RULE).unwrap()
    }
}

fn ids(dataset: &Dataset, split: Split, order: Order) -> Vec<usize> {
    let samples = dataset.samples(split, order, Columns::All);
    samples.map(|sample| sample.unwrap().recording.id.parse().unwrap()).collect()
}

#[test]
fn every_good_row_is_in_one_split_once() {
    let house = house(5, |_| Split::Unspecified);
    let dataset = house.open();
    let mut seen = Vec::new();
    for split in [Split::Train, Split::Validation, Split::Test] {
        seen.extend(ids(&dataset, split, Order::Stored));
    }
    assert_eq!(seen.len() as u64, dataset.manifest().rows);
    let expected: BTreeSet<_> = (0..100).filter(|id| id % 10 != 9 && *id != 80).collect();
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn the_order_follows_from_the_seed() {
    let house = house(5, |_| Split::Train);
    let dataset = house.open();
    let pass = |seed, epoch| ids(&dataset, Split::Train, Order::Shuffled { seed, epoch });
    assert_eq!(pass(1, 1), pass(1, 1));
    assert_ne!(pass(1, 1), pass(1, 2));
    assert_ne!(pass(1, 1), pass(2, 1));
    let stored = ids(&dataset, Split::Train, Order::Stored);
    let mut sorted = pass(1, 1);
    sorted.sort_unstable();
    assert_eq!(sorted, stored);
}

#[test]
fn the_spectrogram_comes_along_only_if_asked_for() {
    let house = house(1, |_| Split::Train);
    let dataset = house.open();
    let first = |columns| {
        dataset.samples(Split::Train, Order::Stored, columns).nth(3).unwrap().unwrap().features
    };
    assert!(first(Columns::Table).mel.bytes.is_empty());
    assert_eq!(first(Columns::All).mel.to_db()[0], first(Columns::All).mel.offset);
}

#[test]
fn a_consumer_may_leave_early() {
    let house = house(5, |_| Split::Train);
    let dataset = house.open();
    for _ in 0..20 {
        assert!(dataset.samples(Split::Train, Order::Stored, Columns::All).next().is_some());
    }
}

#[test]
fn a_shard_that_is_not_the_sealed_one_is_refused() {
    let house = house(1, |_| Split::Train);
    let dataset = house.open();
    let sealed = &dataset.manifest().shards[0];
    let other = SealedShard { digest: "other".into(), ..sealed.clone() };
    assert!(matches!(dataset.rows(&other, Columns::All).err(), Some(Error::Damaged { .. })));
    let missing = keys::manifest(&Name::nearest("d"), 2);
    let put = house.store.put_new(&missing, Bytes::from_static(b"{"));
    house.runtime.block_on(put).unwrap();
    let open = Dataset::open(Arc::clone(&house.store), house.runtime.handle(), &missing, RULE);
    assert!(matches!(open.err(), Some(Error::Damaged { .. })));
}
