//! The laws of the worker, over a real directory and queue.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use voxage_contract::{FeatureSpec, Group, Recording, Task, keys};
use voxage_extract::synth::wav_bytes;
use voxage_shards::{Columns, Row, Shard};
use voxage_transport::source::Sources;
use voxage_transport::{Dir, InProcess, Queue as _, Store, StoreExt as _, source};

use crate::{Progress, Worker};

const PATIENCE: Duration = Duration::from_secs(60);

struct House {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    queue: InProcess,
    scheduled: InProcess,
    progress: Arc<Progress>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("audio")).unwrap();
        let store = Arc::new(Dir::open(folder.path().join("root")).unwrap());
        let [queue, scheduled] = [(); 2].map(|()| InProcess::new(100));
        Self { folder, store, queue, scheduled, progress: Arc::default() }
    }

    fn audio_root(&self) -> String {
        source::root_uri(&self.folder.path().join("audio")).unwrap()
    }

    /// A recording as planned; with some bytes, it has a source.
    fn recording(&self, id: &str, bytes: Option<&[u8]>) -> Recording {
        let path = format!("{id}.wav");
        let mut recording = Recording { id: id.into(), path: path.clone(), ..Default::default() };
        if let Some(bytes) = bytes {
            fs::write(self.folder.path().join("audio").join(&path), bytes).unwrap();
            let stat = source::stat(&self.audio_root(), &path).unwrap();
            (recording.size_bytes, recording.etag) = (Some(stat.size_bytes), stat.etag);
        }
        recording
    }

    fn task(&self, recordings: Vec<Recording>) -> Task {
        Task::new("d", 1, &FeatureSpec::default(), &self.audio_root(), Group { recordings })
    }

    async fn publish(&self, task: &Task) {
        self.queue.publish(task.encode_to_vec().into()).await.unwrap();
    }

    fn start(&self, stop: &CancellationToken) -> tokio::task::JoinHandle<crate::Result<()>> {
        let worker = Worker {
            store: Arc::clone(&self.store),
            queues: vec![Arc::new(self.queue.clone()), Arc::new(self.scheduled.clone())],
            sources: Sources::any(),
            slots: 2,
            progress: Arc::clone(&self.progress),
            isolation: None,
            grace: Duration::from_secs(30),
        };
        tokio::spawn(worker.run(stop.clone()))
    }

    async fn shard(&self, task: &Task) -> Vec<Row> {
        let key = keys::shard(&"d".parse().unwrap(), &FeatureSpec::default().id(), &task.shard());
        let there = async {
            while !self.store.exists(&key).await.unwrap() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, there).await.unwrap();
        let shard = Shard::open(self.store.get(&key).await.unwrap()).unwrap();
        shard.rows(Columns::All).unwrap().map(Result::unwrap).collect()
    }
}

fn tone() -> Vec<u8> {
    let samples: Vec<f32> = (0..8000).map(|i| (i as f32 * 0.1).sin() * 0.5).collect();
    wav_bytes(&samples, 16_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_has_one_row_for_each_recording_in_order() {
    let house = House::new();
    let mut changed = house.recording("changed", Some(&tone()));
    changed.etag = "another".into();
    let task = house.task(vec![
        house.recording("good", Some(&tone())),
        house.recording("gone", None),
        house.recording("text", Some(b"no audio at all")),
        changed,
        house.recording("late", Some(&tone())),
    ]);
    house.publish(&task).await;
    let stop = CancellationToken::new();
    let worker = house.start(&stop);
    let rows = house.shard(&task).await;
    let found: Vec<_> = rows
        .iter()
        .map(|row| match &row.outcome {
            Ok(features) => {
                (row.recording.id.as_str(), format!("{} frames", features.mel.n_frames))
            }
            Err(reject) => (row.recording.id.as_str(), reject.code.clone()),
        })
        .collect();
    let expected = [
        ("good", "22 frames".to_owned()),
        ("gone", "missing_audio".into()),
        ("text", "unknown_format".into()),
        ("changed", "source_changed".into()),
        ("late", "22 frames".into()),
    ];
    assert_eq!(found, expected);
    assert_eq!((house.progress.recordings(), house.progress.rejects()), (5, 3));
    stop.cancel();
    timeout(PATIENCE, worker).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_delivered_twice_makes_one_shard() {
    let house = House::new();
    let task = house.task(vec![house.recording("a", Some(&tone()))]);
    house.publish(&task).await;
    house.publish(&task).await;
    let stop = CancellationToken::new();
    let worker = house.start(&stop);
    house.shard(&task).await;
    stop.cancel();
    timeout(PATIENCE, worker).await.unwrap().unwrap().unwrap();
    assert_eq!(house.store.keys("").await.unwrap().len(), 1);
    assert!(house.queue.dead_letters().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_cannot_be_read_is_put_aside() {
    let house = House::new();
    house.queue.publish(b"nonsense".as_slice().into()).await.unwrap();
    let mut tampered = house.task(vec![house.recording("a", Some(&tone()))]);
    tampered.recordings[0].path = "../root/b.wav".into();
    house.publish(&tampered).await;
    let stop = CancellationToken::new();
    let worker = house.start(&stop);
    let aside = async {
        while house.queue.dead_letters().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, aside).await.unwrap();
    stop.cancel();
    timeout(PATIENCE, worker).await.unwrap().unwrap().unwrap();
    assert!(house.store.keys("").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_queue_waits_for_the_other() {
    let house = House::new();
    let task = |lane: &str, i: usize| {
        let of_task = (0..4).map(|k| house.recording(&format!("{lane}{i}-{k}"), Some(&tone())));
        house.task(of_task.collect())
    };
    let many: Vec<_> = (0..40).map(|i| task("many", i)).collect();
    let few: Vec<_> = (0..4).map(|i| task("few", i)).collect();
    for task in &many {
        house.publish(task).await;
    }
    for task in &few {
        house.scheduled.publish(task.encode_to_vec().into()).await.unwrap();
    }
    let stop = CancellationToken::new();
    let worker = house.start(&stop);
    for task in &few {
        house.shard(task).await;
    }
    // Both are made at about the same rate.
    let made = house.store.keys("datasets/d/shards/").await.unwrap().len() - few.len();
    assert!((1..20).contains(&made), "{made}");
    for task in &many {
        house.shard(task).await;
    }
    stop.cancel();
    timeout(PATIENCE, worker).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_worker_settles_what_it_holds() {
    let house = House::new();
    let recordings = (0..20).map(|i| house.recording(&i.to_string(), Some(&tone()))).collect();
    let task = house.task(recordings);
    house.publish(&task).await;
    let stop = CancellationToken::new();
    let worker = house.start(&stop);
    let begun = async {
        while house.progress.recordings() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    stop.cancel();
    timeout(PATIENCE, worker).await.unwrap().unwrap().unwrap();
    assert_eq!(house.shard(&task).await.len(), 20);
}
