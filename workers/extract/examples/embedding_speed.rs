//! How long embeddings take: `cargo run --release -p voxage-extract --example embedding_speed`.

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
    for seconds in [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0, 120.0] {
        let voice = Speaker::new(1, 40.0, Gender::Female).utter(0, seconds, 16_000);
        let n_windows = 1 + ((100.0 * seconds) as usize).saturating_sub(159) / 80;
        let n_runs = (240.0 / seconds) as u32;
        encoder.push(&voice);
        let _ = encoder.finish();
        let mut in_push = 0.0;
        let started = Instant::now();
        for _ in 0..n_runs {
            let pushed = Instant::now();
            encoder.push(&voice);
            in_push += pushed.elapsed().as_secs_f64();
            let _ = encoder.finish();
        }
        let total_s = started.elapsed().as_secs_f64() / f64::from(n_runs);
        // Of the LSTM alone.
        let n_flop = n_windows * 160 * 2 * (1024 * 40 + 5 * 1024 * 256);
        println!(
            "{seconds:5.0} s, {n_windows:3} windows: {:5.2} ms a second, of which spectrogram \
             {:4.2}; {:3.0} GFLOP/s",
            1e3 * total_s / seconds,
            1e3 * in_push / f64::from(n_runs) / seconds,
            n_flop as f64 / total_s / 1e9,
        );
    }
    Ok(())
}
