//! How fast a data set is loaded, for `make bench-loader`.
//!
//!     loader ROOT MANIFEST PASSES THREADS [CACHE]
//!     loader ROOT MANIFEST get
//!
//! Prints a line for each pass: samples, seconds, and seconds of processor time. A batch is
//! 64 windows of 128 frames, normalised. With `get`, the shards are only fetched: bytes,
//! seconds.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt as _, stream};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use voxage_contract::{N_MELS, Split, keys};
use voxage_dataset::{Cache, Columns, Dataset, Norm, Order, Pass, Pool, SplitRule, window};
use voxage_transport::{Dir, S3, S3Settings, Store};

const BATCH: usize = 64;
const FRAMES: usize = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [root, manifest, rest @ ..] = &args[..] else {
        return Err("loader ROOT MANIFEST …".into());
    };
    let runtime = Runtime::new()?;
    let store: Arc<dyn Store> = if root.starts_with("s3://") {
        Arc::new(runtime.block_on(S3::open_existing(root, &S3Settings::default()))?)
    } else {
        Arc::new(Dir::open_existing(root)?)
    };
    let all = SplitRule { validation: 0.0, test: 0.0, turn: 0, fold: None };
    let cache = rest.get(2).map(|folder| Cache::open(folder, 4 << 30)).transpose()?;
    let dataset = Dataset::open(Arc::clone(&store), runtime.handle(), manifest, all, cache)?;
    match rest {
        [get] if get == "get" => fetch(&dataset, &*store, &runtime),
        [passes, threads, ..] => passes.parse().map_err(Box::from).and_then(|passes: u64| {
            let (threads, pool) = (threads.parse()?, Pool::default());
            (1..=passes).try_for_each(|epoch| pass(&dataset, epoch, threads, pool.clone()))
        }),
        _ => Err("loader ROOT MANIFEST PASSES THREADS [CACHE]".into()),
    }
}

fn pass(dataset: &Dataset, epoch: u64, threads: usize, pool: Pool) -> Result<(), Box<dyn Error>> {
    let norm = Norm::between(-80.0, 0.0);
    let order = Order::Shuffled { seed: 1, epoch };
    let pass = Pass { split: Split::Train, order, columns: Columns::All, start: 0 };
    let (start, processor) = (Instant::now(), processor_s());
    let batches = dataset.batches(pass, BATCH, threads, move |_, samples| {
        let mut images = pool.take(samples.len() * FRAMES * N_MELS);
        let mut ages = Vec::with_capacity(samples.len());
        for (sample, image) in samples.zip(images.chunks_exact_mut(FRAMES * N_MELS)) {
            window(sample.mel(), 0, norm, 0.0, image);
            ages.push(sample.age_years().unwrap_or_default() as f32);
        }
        (images, ages)
    });
    let mut samples = 0;
    for batch in batches {
        samples += batch?.1.len();
    }
    println!("{samples} {} {}", start.elapsed().as_secs_f64(), processor_s() - processor);
    Ok(())
}

/// Processor time of this process.
fn processor_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn fetch(dataset: &Dataset, store: &dyn Store, runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let manifest = dataset.manifest();
    let start = Instant::now();
    let gets = manifest.shards.iter().map(|shard| async move {
        store.get(&keys::shard(&manifest.dataset, &manifest.spec_id, &shard.id)).await
    });
    let gets = stream::iter(gets).buffer_unordered(16);
    let sizes = gets.map(|bytes| bytes.map_or(0, |bytes| bytes.len()));
    let bytes: usize = runtime.block_on(sizes.collect::<Vec<_>>()).into_iter().sum();
    println!("{bytes} {}", start.elapsed().as_secs_f64());
    Ok(())
}
