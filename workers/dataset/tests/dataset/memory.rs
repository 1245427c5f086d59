//! A data set of ten times the memory that is promised.

use voxage_contract::{AudioInfo, Features, Mel};
use voxage_contract::{FeatureSpec, MelStorage, N_MELS, Recording, Split};
use voxage_dataset::{BLOCK_BYTES, Norm, Order, Pass, Pool, window};
use voxage_shards::{Row, encode};

use crate::house::{House, PASS, key, sealed, shard_id};

const BATCH: usize = 64;
const FRAMES: usize = 128;
const THREADS: usize = 2;

/// Frames of a recording, and recordings of a shard: 30 MB that hardly compress.
const RECORDING_FRAMES: usize = 1000;
const RECORDINGS: usize = 240;

/// Runs in a process of its own, as nextest has it: the peak is of all that it ever did.
#[test]
fn ten_times_the_memory_is_streamed() {
    let shard_bytes = (RECORDING_FRAMES * RECORDINGS * N_MELS) as u64;
    let (spectrogram, batch) = (RECORDING_FRAMES * N_MELS, BATCH * FRAMES * N_MELS * 4);
    // As `Batches` says, and what a process takes before it does anything.
    let base = 64 << 20;
    let most = 2 * BLOCK_BYTES.max(shard_bytes)
        + (THREADS * (spectrogram + batch) + 2 * batch) as u64
        + base;
    let n_shards = (10 * most).div_ceil(shard_bytes) as usize;

    let house = House::empty();
    one_shard_under_many_names(&house, n_shards);
    let dataset = house.open();
    let pass = Pass { order: Order::Shuffled { seed: 1, epoch: 1 }, ..PASS };
    let pool = Pool::default();
    let batches = dataset.batches(pass, BATCH, THREADS, move |_, samples| {
        let mut images = pool.take(samples.len() * FRAMES * N_MELS);
        for (sample, image) in samples.zip(images.chunks_exact_mut(FRAMES * N_MELS)) {
            window(sample.mel(), 0, Norm::between(-80.0, 0.0), 0.0, image);
        }
        images
    });
    let n_samples: usize = batches.map(|batch| batch.unwrap().len() / FRAMES / N_MELS).sum();
    assert_eq!(n_samples as u64, dataset.len(Split::Train));

    let read = n_shards as u64 * shard_bytes;
    assert!(read >= 10 * most);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak = peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
    eprintln!("{} MiB read, peak of {} MiB, {} allowed", read >> 20, peak >> 20, most >> 20);
    assert!(peak < most, "{} MiB, more than {}", peak >> 20, most >> 20);
}

fn one_shard_under_many_names(house: &House, n_shards: usize) {
    let mut noise = 1u32;
    let mut random = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    };
    let row = |id: usize| {
        let recording =
            Recording { id: id.to_string(), age_years: Some(30.0), ..Recording::default() };
        let mel = Mel {
            n_frames: RECORDING_FRAMES,
            storage: MelStorage::U8,
            scale: 80.0 / 255.0,
            offset: -80.0,
            bytes: (0..RECORDING_FRAMES * N_MELS).map(|_| random()).collect(),
        };
        let tabular = vec![None; FeatureSpec::default().columns().count()];
        let (audio, warnings) = (AudioInfo::default(), vec![]);
        Row { recording, outcome: Ok(Features { audio, mel, tabular, embedding: None, warnings }) }
    };
    let rows: Vec<_> = (0..RECORDINGS).map(row).collect();
    let bytes = encode("one", &FeatureSpec::default(), &rows).unwrap();
    drop(rows);
    house.put(&key(0), &bytes);
    for n in 1..n_shards {
        std::fs::hard_link(house.file(0), house.file(n)).unwrap();
    }
    house.seal((0..n_shards).map(|n| sealed(shard_id(n), &bytes)).collect());
}
