//! How many samples a second a network learns from, and from where: `make bench-gpu`.
//!
//!     inputs ROOT MANIFEST DEVICE BATCH STEPS [NAME …]
//!
//! For each network (without names, `seed-cnn-mlp`) a line of JSON for batches that are
//! there already (`synthetic`), cut of a data set on the device (`resident`) and streamed from
//! shards: samples a second, the median of some rounds of STEPS steps.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use voxage_contract::training::{Device, Image, TrainSettings, Upkeep};
use voxage_dataset::{Dataset, SplitRule};
use voxage_trainer::feed::{Fed, Feed};
use voxage_trainer::session::Session;
use voxage_trainer::{fit, malloc};
use voxage_transport::Dir;

const ROUNDS: usize = 3;
const USAGE: &str = "inputs ROOT MANIFEST DEVICE BATCH STEPS [NAME …]";

fn main() -> Result<(), Box<dyn Error>> {
    malloc::keep_memory();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [root, manifest, device, batch, steps, names @ ..] = &arguments[..] else {
        return Err(USAGE.into());
    };
    let (batch, steps): (usize, usize) = (batch.parse()?, steps.parse()?);
    let device: Device = serde_json::from_value(Value::from(&**device))?;
    let cores = std::thread::available_parallelism()?.get();
    tch::set_num_threads(cores as i32);
    let runtime = Runtime::new()?;
    let all = SplitRule { validation: 0.0, test: 0.0, turn: 0, fold: None };
    let store = Arc::new(Dir::open_existing(root)?);
    let dataset = Dataset::open(store, runtime.handle(), manifest, all, None)?;
    let seed = ["seed-cnn-mlp".to_owned()];
    for name in if names.is_empty() { &seed[..] } else { names } {
        let settings = TrainSettings {
            architecture: serde_json::from_value(Value::from(&**name))?,
            image: Image::RandomCrop,
            batch_size: batch,
            dropout: 0.0,
            epochs: 1 << 20,
            device,
            ..TrainSettings::default()
        };
        let mut session = fit::start(&dataset, &settings, cores)?;
        let feed = |resident_mib| {
            let upkeep = Upkeep { loader_threads: cores, resident_mib, ..Upkeep::default() };
            Feed::new(&dataset, &session.network.inputs, &settings, &upkeep)
        };
        let (resident, streamed) = (feed(1 << 20)?, feed(0)?);
        let synthetic = streamed.epochs(1, 0).next().ok_or("the data set is empty")??;
        let feeds: [(&str, Option<&Feed>); 3] =
            [("synthetic", None), ("resident", Some(&resident)), ("streamed", Some(&streamed))];
        let mut rates = [const { Vec::new() }; 3];
        for round in 0..=ROUNDS {
            for (rates, (_, feed)) in rates.iter_mut().zip(feeds) {
                let rate = timed(&mut session, &synthetic, feed, steps)?;
                // The first one chooses kernels.
                if round > 0 {
                    rates.push(rate);
                }
            }
        }
        for (rates, (input, _)) in rates.iter_mut().zip(feeds) {
            rates.sort_by(f64::total_cmp);
            let rate = rates[ROUNDS / 2];
            println!("{}", json!({ "name": name, "input": input, "samples_per_s": rate }));
        }
    }
    Ok(())
}

/// Samples a second of some steps, from a feed or of one batch again and again.
fn timed(
    session: &mut Session,
    synthetic: &Fed,
    feed: Option<&Feed>,
    steps: usize,
) -> Result<f64, Box<dyn Error>> {
    let mut batches = feed.map(|feed| feed.epochs(1, 0));
    let mut step = |session: &mut Session| -> Result<u64, Box<dyn Error>> {
        let Some(batches) = &mut batches else {
            session.step(synthetic)?;
            return Ok(synthetic.targets.numel() as u64);
        };
        let batch = batches.next().ok_or("no batch")??;
        session.step(&batch)?;
        Ok(batch.targets.numel() as u64)
    };
    // The loader's threads have begun, and the device is not behind.
    step(session)?;
    session.take_window_loss();
    let (start, mut samples) = (Instant::now(), 0);
    for _ in 0..steps {
        samples += step(session)?;
    }
    session.take_window_loss();
    Ok(samples as f64 / start.elapsed().as_secs_f64())
}
