//! Steps of `seed-cnn-mlp` on given data from given weights, as `tests/bench/steps.py`
//! wants them: prints the losses and the milliseconds of each step as JSON.
//!
//!     steps FILE STEPS THREADS
//!
//! FILE is safetensors: `images` [n, batch, 1, 128, 128], `tables` [n, batch, inputs],
//! `targets` [n, batch] (step i takes number i modulo n), and `weights/…`.

use std::time::Instant;

use tch::{Kind, Tensor, nn::VarStore};
use voxage_contract::training::{Architecture, TrainSettings};
use voxage_trainer::inputs::Tensors;
use voxage_trainer::model::Model;
use voxage_trainer::optimizer::AdamW;
use voxage_trainer::scaler::{Input, Scaler};
use voxage_trainer::tensors::Packed;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    voxage_trainer::malloc::keep_memory();
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("steps FILE STEPS THREADS");
    let (path, steps, threads) = (next()?, next()?.parse::<usize>()?, next()?.parse::<i32>()?);
    tch::set_num_threads(threads);
    let bytes = std::fs::read(&path)?;
    let file = Packed::open(&path, &bytes)?;
    let data = |name: &str, shape: &[i64]| {
        let mut tensor = Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu));
        file.fill(name, &mut tensor).map(|()| tensor)
    };
    let shape = |name: &str| file.shape(name);
    let (images, tables) = (data("images", &shape("images")?)?, data("tables", &shape("tables")?)?);
    let targets = data("targets", &shape("targets")?)?;
    // Without dropout: its masks would have to be the same.
    let architecture = Architecture::SeedCnnMlp;
    let settings = TrainSettings { architecture, dropout: 0.0, ..TrainSettings::default() };
    let scaler =
        Scaler { inputs: vec![Input::default(); tables.size()[2] as usize], ..Scaler::default() };
    let weights = VarStore::new(tch::Device::Cpu);
    let model = Model::new(&weights.root(), &settings, &scaler, 1)?;
    for (name, mut weight) in weights.variables() {
        file.fill(&format!("weights/{name}"), &mut weight)?;
    }
    let mut optimizer = AdamW::new(&weights, settings.weight_decay);
    let (mut losses, mut ms) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let start = Instant::now();
        let i = step as i64 % images.size()[0];
        let (images, tables) = (images.get(i), tables.get(i));
        let valid = Tensor::full([images.size()[0]], 128, (Kind::Int64, tch::Device::Cpu));
        let predicted = model.forward(&Tensors { images, valid, tables }, true).squeeze_dim(1);
        let loss = predicted.mse_loss(&targets.get(i), tch::Reduction::Mean);
        optimizer.set_learning_rate(settings.learning_rate);
        optimizer.step(&loss)?;
        losses.push(loss.double_value(&[]));
        ms.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    println!("{}", serde_json::json!({ "losses": losses, "ms": ms }));
    Ok(())
}
