//! How long embeddings of recordings of some lengths in seconds take:
//! `cargo run --release -p voxage-extract --example embedding_speed -- 2 5 30`.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use voxage_contract::Gender;
use voxage_extract::synth::Speaker;
use voxage_extract::{Encoder, Weights};

fn main() -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let weights = Arc::new(Weights::load(&Weights::path())?);
    println!("weights: {:.0} ms", 1e3 * started.elapsed().as_secs_f64());
    let mut encoder = Encoder::new(weights);
    for argument in std::env::args().skip(1) {
        let seconds: f64 = argument.parse()?;
        let voice = Speaker::new(1, 40.0, Gender::Female).utter(0, seconds, 16_000);
        let n_windows = 1 + ((100.0 * seconds) as usize).saturating_sub(159) / 80;
        // The best of some runs: what else the machine does only adds.
        let (mut push_s, mut total_s) = (f64::MAX, f64::MAX);
        for _ in 0..(240.0 / seconds).ceil() as usize {
            let started = Instant::now();
            encoder.push(&voice);
            push_s = push_s.min(started.elapsed().as_secs_f64());
            let _ = encoder.finish();
            total_s = total_s.min(started.elapsed().as_secs_f64());
        }
        // Of the LSTM alone.
        let n_flop = n_windows * 160 * 2 * (1024 * 40 + 5 * 1024 * 256);
        println!(
            "{seconds:5.1} s, {n_windows:3} windows: {:5.2} ms a second, of which spectrogram \
             {:4.2}; {:3.0} GFLOP/s",
            1e3 * total_s / seconds,
            1e3 * push_s / seconds,
            n_flop as f64 / (total_s - push_s) / 1e9,
        );
    }
    Ok(())
}
