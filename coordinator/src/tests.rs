//! The laws of the coordinator, over a real directory and real shards.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use futures::StreamExt as _;
use proptest::prelude::*;
use voxage_contract::{
    BatchId, FeatureSpec, MelStorage, Name, Reject, SealedManifest, ShardLimits, Task, keys,
};
use voxage_shards::{Columns, Row, Shard, encode};
use voxage_transport::source::Sources;
use voxage_transport::{Dir, InProcess, Queue as _, Store as _, StoreExt as _};

use crate::dispatch::Missing;
use crate::gc::garbage;
use crate::plan::{Counts, Planner};
use crate::register::{Register, cancel};
use crate::seal::seal;
use crate::status::{State, status};
use crate::submit::read;
use crate::{Error, Submission, plan_all, submit};

struct House {
    folder: tempfile::TempDir,
    store: Dir,
    dataset: Name,
    spec: FeatureSpec,
    audio: String,
    sources: Sources,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Dir::open(folder.path().join("root")).unwrap();
        let (spec, audio) = (FeatureSpec::default(), "file:///nowhere/".into());
        Self { folder, store, dataset: Name::nearest("d"), spec, audio, sources: Sources::any() }
    }

    /// Begins to plan a batch.
    async fn planner(&self, number: u64) -> Planner<'_> {
        let register = Register::read(&self.store, &self.dataset).await.unwrap();
        let id = BatchId { dataset: self.dataset.clone(), number };
        Planner::open(&self.store, &self.sources, id, &register).await.unwrap()
    }

    /// Submits recordings, each an id with an age.
    async fn submit(&self, recordings: &BTreeMap<u8, u8>) -> Counts {
        self.hand_in(recordings).await;
        plan_all(&self.store, &Sources::any(), &self.dataset).await.unwrap()
    }

    /// Submits recordings, and nobody plans them.
    async fn hand_in(&self, recordings: &BTreeMap<u8, u8>) {
        let mut table = "id,path,age\n".to_owned();
        for (id, age) in recordings {
            writeln!(table, "{id},{id}.wav,{age}").unwrap();
        }
        let manifest = self.folder.path().join("m.csv");
        std::fs::write(&manifest, table).unwrap();
        let submission = Submission {
            manifest,
            paths_root: self.audio.clone(),
            audio_root: self.audio.clone(),
            dataset: self.dataset.clone(),
            spec: self.spec.clone(),
            shards: ShardLimits { recordings: 3, bytes: 1 << 20 },
            stat_sources: true,
            scheduled: false,
        };
        submit(&self.store, submission, |_| {}, |_| {}).await.unwrap();
    }

    async fn cancel(&self, number: u64) -> bool {
        let batch = BatchId { dataset: self.dataset.clone(), number };
        let cancelled = cancel(&self.store, &batch).await.unwrap();
        plan_all(&self.store, &Sources::any(), &self.dataset).await.unwrap();
        cancelled
    }

    /// Makes every missing shard, with rejects for rows; gives the number of recordings.
    async fn work(&self) -> usize {
        let queue = InProcess::new(1000);
        let missing = Missing::find(&self.store, &self.dataset, &self.spec).await.unwrap();
        missing.publish(&self.store, |_| &queue, |_| true).await.unwrap();
        let mut deliveries = queue.consume(1).await.unwrap();
        let mut recordings = 0;
        for _ in 0..missing.shards() {
            let delivery = deliveries.next().await.unwrap().unwrap();
            let (task, spec) = Task::read(delivery.payload()).unwrap();
            recordings += task.recordings.len();
            let reject = Reject::new("fetch", "missing_audio", "");
            let key = keys::shard(&self.dataset, &spec.id(), &task.shard());
            let rows = task.recordings.into_iter();
            let rows: Vec<_> =
                rows.map(|recording| Row { recording, outcome: Err(reject.clone()) }).collect();
            let bytes = encode(&task.shard_id, &spec, &rows).unwrap();
            self.store.put_new(&key, bytes).await.unwrap();
            delivery.ack().await.unwrap();
        }
        recordings
    }

    /// Every recording that counts, read back from the shards that the manifest names.
    async fn sealed(&self) -> Vec<(u8, u8)> {
        let (_, manifest) = seal(&self.store, &self.dataset, &self.spec).await.unwrap();
        let mut counted = Vec::new();
        for sealed in &manifest.shards {
            let key = keys::shard(&self.dataset, &manifest.spec_id, &sealed.id);
            let shard = Shard::open(self.store.get(&key).await.unwrap()).unwrap();
            assert_eq!(shard.footer().digest, sealed.digest);
            for (i, row) in (0..).zip(shard.rows(Columns::All).unwrap()) {
                let recording = row.unwrap().recording;
                if !sealed.replaced.contains(&i) {
                    let age = recording.age_years.unwrap();
                    counted.push((recording.id.parse().unwrap(), age as u8));
                }
            }
        }
        assert_eq!(manifest.rejects, counted.len() as u64);
        assert_eq!(manifest.submitted, counted.len() as u64);
        counted.sort_unstable();
        counted
    }
}

fn manifest() -> impl Strategy<Value = BTreeMap<u8, u8>> {
    prop::collection::btree_map(0..20u8, 20..22u8, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_id_counts_once_as_last_submitted(
        manifests in prop::collection::vec((manifest(), prop::bool::ANY), 1..5),
        withdrawn in 0..5usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let house = House::new();
            let mut expected = BTreeMap::new();
            for (manifest, work) in &manifests {
                let counts = house.submit(manifest).await;
                let changed =
                    manifest.iter().filter(|(id, age)| expected.get(*id) != Some(*age)).count();
                assert_eq!(counts.added + counts.replaced, changed as u64);
                expected.extend(manifest.clone());
                if *work {
                    house.work().await;
                }
            }
            house.work().await;
            assert_eq!(house.sealed().await, expected.into_iter().collect::<Vec<_>>());
            assert_eq!(house.work().await, 0);
            if withdrawn >= manifests.len() {
                return;
            }
            // The same manifest twice in a row is one batch.
            let mut batches: Vec<_> = manifests.iter().map(|(manifest, _)| manifest).collect();
            batches.dedup();
            let withdrawn = withdrawn % batches.len();
            house.cancel(withdrawn as u64 + 1).await;
            batches.remove(withdrawn);
            let expected: BTreeMap<u8, u8> = batches.into_iter().flat_map(BTreeMap::clone).collect();
            house.work().await;
            assert_eq!(house.sealed().await, expected.into_iter().collect::<Vec<_>>());
        });
    }
}

#[tokio::test]
async fn resubmitting_does_nothing_and_more_rows_do_only_those() {
    let house = House::new();
    let mut rows: BTreeMap<u8, u8> = (0..10).map(|id| (id, 30)).collect();
    assert_eq!(house.submit(&rows).await, Counts { added: 10, replaced: 0 });
    assert_eq!(house.work().await, 10);
    let first = seal(&house.store, &house.dataset, &house.spec).await.unwrap().0;

    assert_eq!(house.submit(&rows).await, Counts { added: 0, replaced: 0 });
    assert_eq!(house.work().await, 0);
    assert_eq!(seal(&house.store, &house.dataset, &house.spec).await.unwrap().0, first);

    rows.extend((10..15).map(|id| (id, 40)));
    assert_eq!(house.submit(&rows).await, Counts { added: 5, replaced: 0 });
    assert_eq!(house.work().await, 5);
    assert_ne!(seal(&house.store, &house.dataset, &house.spec).await.unwrap().0, first);
}

#[tokio::test]
async fn what_is_incomplete_is_not_sealed_and_status_says_what_is_left() {
    let house = House::new();
    let look = async || status(&house.store).await.unwrap().0.remove(0);
    assert!(status(&house.store).await.unwrap().0.is_empty());
    let nothing = seal(&house.store, &house.dataset, &house.spec).await;
    assert!(matches!(nothing, Err(Error::Empty(_))));

    house.submit(&(0..4).map(|id| (id, 30)).collect()).await;
    let incomplete = seal(&house.store, &house.dataset, &house.spec).await;
    assert!(matches!(incomplete, Err(Error::Incomplete { left: 4, .. })));
    assert_eq!((look().await.left, look().await.sealed), (4, false));

    house.work().await;
    assert_eq!((look().await.left, look().await.sealed), (0, false));
    seal(&house.store, &house.dataset, &house.spec).await.unwrap();
    let done = look().await;
    assert_eq!((done.submitted, done.rejects, done.left, done.sealed), (4, 4, 0, true));

    house.submit(&[(9, 30)].into()).await;
    assert_eq!((look().await.left, look().await.sealed), (1, false));
}

#[tokio::test]
async fn two_submitters_share_a_data_set() {
    let house = House::new();
    let other = House {
        folder: tempfile::tempdir().unwrap(),
        store: house.store.clone(),
        dataset: house.dataset.clone(),
        spec: house.spec.clone(),
        audio: house.audio.clone(),
        sources: Sources::any(),
    };
    let (mine, theirs) =
        ((0..12).map(|id| (id, 30)).collect(), (6..18).map(|id| (id, 30)).collect());
    let (a, b) = tokio::join!(house.submit(&mine), other.submit(&theirs));
    assert_eq!((a.added + b.added, a.replaced + b.replaced), (18, 0));
    house.work().await;
    assert_eq!(house.sealed().await.len(), 18);
}

/// Two planners that do not hear of each other, the slower one at a batch that the other has
/// left behind.
#[tokio::test]
async fn who_comes_late_with_a_batch_does_not_undo_what_corrected_it() {
    let mut house = House::new();
    house.audio = format!("file://{}/", house.folder.path().display());
    let recording = house.folder.path().join("1.wav");
    std::fs::write(&recording, "as it was").unwrap();
    house.hand_in(&[(1, 20), (2, 20)].into()).await;
    house.hand_in(&[(1, 21)].into()).await;
    let mut late = house.planner(1).await;
    plan_all(&house.store, &house.sources, &house.dataset).await.unwrap();
    std::fs::write(&recording, "touched meanwhile").unwrap();
    assert_eq!(late.next().await.unwrap(), None);
    late.finish().await.unwrap();
    house.work().await;
    assert_eq!(house.sealed().await, [(1, 21), (2, 20)]);
}

#[tokio::test]
async fn a_plan_of_a_batch_that_was_cancelled_meanwhile_keeps_nothing_from_others() {
    let house = House::new();
    house.submit(&[(1, 20)].into()).await;
    let key = keys::plan(&house.dataset, 1);
    let plan = house.store.get(&key).await.unwrap();
    house.hand_in(&[(1, 20), (2, 20)].into()).await;
    // As if it came between the look at what is cancelled and the next plan.
    house.store.delete(&key).await.unwrap();
    cancel(&house.store, &BatchId { dataset: house.dataset.clone(), number: 1 }).await.unwrap();
    let mut planner = house.planner(2).await;
    house.store.put_new(&key, plan).await.unwrap();
    while planner.next().await.unwrap().is_some() {}
    planner.finish().await.unwrap();
    house.work().await;
    assert_eq!(house.sealed().await, [(1, 20), (2, 20)]);
}

#[test]
fn a_shard_is_bounded_by_recordings_and_bytes() {
    let house = House::new();
    let audio = house.folder.path().join("audio");
    std::fs::create_dir(&audio).unwrap();
    let mut table = "id,path\n".to_owned();
    for (id, size) in [400_000, 500_000, 200_000, 2_000_000, 1, 1, 1, 1].into_iter().enumerate() {
        std::fs::write(audio.join(format!("{id}.wav")), vec![0; size]).unwrap();
        writeln!(table, "{id},{id}.wav").unwrap();
    }
    let manifest = house.folder.path().join("m.csv");
    std::fs::write(&manifest, table).unwrap();
    let root = voxage_transport::source::root_uri(Path::new(&audio)).unwrap();
    let submission = Submission {
        manifest,
        paths_root: root.clone(),
        audio_root: root,
        dataset: house.dataset.clone(),
        spec: house.spec.clone(),
        shards: ShardLimits { recordings: 3, bytes: 1_000_000 },
        stat_sources: true,
        scheduled: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let plan = runtime.block_on(async {
        submit(&house.store, submission, |_| {}, |_| {}).await.unwrap();
        plan_all(&house.store, &Sources::any(), &house.dataset).await.unwrap();
        crate::plan::read(&house.store, &house.dataset, 1).await.unwrap()
    });
    let sizes: Vec<_> = plan.groups.iter().map(|group| group.recordings.len()).collect();
    assert_eq!(sizes, [2, 1, 1, 3, 1]);
    assert!(plan.groups[0].recordings[0].etag.ends_with("-61a80"));
}

#[tokio::test]
async fn a_cancelled_batch_is_as_if_it_had_not_been_submitted() {
    let house = House::new();
    let ages = |ids: std::ops::Range<u8>, age| ids.map(|id| (id, age)).collect::<BTreeMap<_, _>>();
    house.submit(&ages(0..4, 30)).await;
    house.submit(&ages(2..8, 31)).await;
    house.work().await;
    let unknown =
        cancel(&house.store, &BatchId { dataset: house.dataset.clone(), number: 7 }).await;
    assert!(matches!(unknown, Err(Error::NoBatch(_))));
    assert!(house.cancel(2).await);
    assert!(!house.cancel(2).await, "it was cancelled already");
    assert_eq!(house.sealed().await, ages(0..4, 30).into_iter().collect::<Vec<_>>());
    let batches = status(&house.store).await.unwrap().0.remove(0).batches;
    assert_eq!(
        batches.iter().map(|b| b.state).collect::<Vec<_>>(),
        [State::Done, State::Cancelled]
    );

    // Its shards are still there: submitted again it costs nothing.
    house.submit(&ages(2..8, 31)).await;
    assert_eq!(house.work().await, 0);
    assert_eq!(house.sealed().await.len(), 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_garbage_is_missed_by_nobody(
        steps in prop::collection::vec((manifest(), 0..5u8), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut house = House::new();
            let mut batches = 0;
            for (manifest, step) in &steps {
                house.submit(manifest).await;
                batches += 1;
                match step {
                    0 => drop(house.work().await),
                    1 => {
                        house.work().await;
                        house.sealed().await;
                    }
                    2 => drop(house.cancel(batches).await),
                    3 => {
                        // Made under a spec that is given up before it is sealed.
                        house.work().await;
                        house.spec.mel.storage = match house.spec.mel.storage {
                            MelStorage::U8 => MelStorage::F16,
                            _ => MelStorage::U8,
                        };
                    }
                    _ => {}
                }
            }
            // A submission that was cut off, and a run's way that is behind it.
            let part = keys::part(&house.dataset, &"0f".repeat(16));
            let [checkpoint, begun] =
                ["0123456789abcdef", "fedcba9876543210"].map(|run| keys::checkpoint(run, 7));
            let result = keys::run("0123456789abcdef", "result.json");
            for key in [&part, &checkpoint, &begun, &result] {
                house.store.put_new(key, "x".into()).await.unwrap();
            }

            assert_eq!(garbage(&house.store, 0).await.unwrap(), []);
            let found = garbage(&house.store, i64::MAX).await.unwrap();
            let keys: Vec<&String> = found.iter().map(|one| &one.key).collect();
            assert!(keys.contains(&&part) && keys.contains(&&checkpoint), "{found:?}");
            assert!(!keys.contains(&&begun) && !keys.contains(&&result), "{found:?}");
            // What the data set is to be is what its newest batch says.
            let register = Register::read(&house.store, &house.dataset).await.unwrap();
            let Some(newest) = register.newest() else { return };
            house.spec = read(&house.store, &house.dataset, newest).await.unwrap().spec;
            let missing = async |house: &House| {
                Missing::find(&house.store, &house.dataset, &house.spec).await.unwrap().shards()
            };
            let before = missing(&house).await;
            for one in &found {
                house.store.delete(&one.key).await.unwrap();
            }
            assert_eq!(garbage(&house.store, i64::MAX).await.unwrap(), []);
            assert_eq!(missing(&house).await, before);
            for key in house.store.keys(&keys::manifests(&house.dataset)).await.unwrap() {
                let sealed: SealedManifest = crate::study::read(&house.store, &key).await.unwrap();
                for shard in sealed.shards {
                    let key = keys::shard(&sealed.dataset, &sealed.spec_id, &shard.id);
                    assert!(house.store.exists(&key).await.unwrap(), "{key}");
                }
            }
            house.work().await;
            house.sealed().await;
        });
    }
}
