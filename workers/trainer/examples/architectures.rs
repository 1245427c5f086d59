//! Prints how many weights each network has and how long a training step takes: batches of 32
//! images of 128 frames, 15 columns, on the processor, in whole precision and as `cpu-bf16`.
//!
//!     architectures THREADS [NAME …]

use std::error::Error;
use std::time::Instant;

use serde_json::{Value, json};
use tch::{Kind, Tensor};
use voxage_contract::training::{Device, TrainSettings};
use voxage_trainer::feed::Fed;
use voxage_trainer::inputs::Tensors;
use voxage_trainer::scaler::{Input, Scaler};
use voxage_trainer::session::{Session, Training};

const ALL: &str = "seed-cnn-mlp se-resnet ecapa efficientnet-b0 efficientnet-b1 efficientnet-b2 efficientnet-b3 se-resnext50 nfnet-f0";
const BATCH: i64 = 32;
const STEPS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    voxage_trainer::malloc::keep_memory();
    let mut arguments = std::env::args().skip(1);
    let threads = arguments.next().ok_or("architectures THREADS [NAME …]")?.parse()?;
    tch::set_num_threads(threads);
    let named: Vec<String> = arguments.collect();
    let all = ALL.split(' ').map(str::to_owned).collect();
    for name in if named.is_empty() { all } else { named } {
        let (weights, whole) = measure(&name, Device::Cpu)?;
        let (_, half) = measure(&name, Device::CpuBf16)?;
        println!(
            "{}",
            json!({
                "name": name, "million_weights": weights as f64 / 1e6,
                "median_step_ms": { "cpu": whole, "cpu-bf16": half },
            })
        );
    }
    Ok(())
}

/// The number of weights, and the milliseconds of a step: the median of some.
fn measure(architecture: &str, device: Device) -> Result<(usize, f64), Box<dyn Error>> {
    let architecture = serde_json::from_value(Value::from(architecture))?;
    let settings = TrainSettings { architecture, device, ..TrainSettings::default() };
    let scaler =
        Scaler { mel_max_db: 1.0, inputs: vec![Input::default(); 15], ..Scaler::default() };
    let training = Training { rows: 1 << 20, mean_age: 40.0, year_weights: Vec::new() };
    let mut session = Session::new(&settings, scaler, training)?;
    let options = (Kind::Float, tch::Device::Cpu);
    let batch = Fed {
        inputs: Tensors {
            images: Tensor::rand([BATCH, 1, 128, 128], options),
            valid: Tensor::full([BATCH], 128, (Kind::Int64, tch::Device::Cpu)),
            tables: Tensor::rand([BATCH, 15], options),
        },
        targets: Tensor::rand([BATCH], options) + 6.0,
    };
    session.step(&batch)?;
    let mut ms = Vec::new();
    for _ in 0..STEPS {
        let start = Instant::now();
        session.step(&batch)?;
        ms.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    ms.sort_by(f64::total_cmp);
    let weights = session.network.weights.trainable_variables();
    Ok((weights.iter().map(Tensor::numel).sum(), ms[STEPS / 2]))
}
