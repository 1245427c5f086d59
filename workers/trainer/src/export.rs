//! A network for others: TorchScript, from raw features to an age, and a text that says what
//! it takes.
//!
//! Always holds: what it predicts of one window is what voxage does; scaling, and what stands
//! for a missing number, are in it. It takes one recording at a time: the sizes of its inputs
//! are part of it.

use std::path::Path;

use serde::Serialize;
use tch::{CModule, Device, Kind, Tensor};
use tokio::runtime::Handle;
use voxage_contract::N_MELS;
use voxage_contract::training::{ExportRequest, Image, Target};

use crate::estimator::Estimator;
use crate::inputs::Tensors;
use crate::models::Models;
use crate::network::Network;
use crate::scaler::{Input, Scaler};
use crate::{Error, Result, store};

/// What the inputs are, for whoever feeds the network.
#[derive(Debug, Serialize)]
struct About<'a> {
    /// Key of the version.
    model: &'a str,
    /// Frames of `mel`, `[1, frames, 128]`, in dB.
    frames: usize,
    /// How they are made of a spectrogram.
    image: Image,
    /// What stands for frames beyond the recording, in dB.
    silence_db: f32,
    /// The numbers of `table`, `[1, inputs]`, in order; NaN for one that is missing. Gender is
    /// 0 for female, 1 for male.
    table: Vec<&'a str>,
    /// Numbers of the embedding that follow in `table`.
    embedding: usize,
    /// Windows that a prediction is the mean of, at most.
    windows: usize,
    /// What is learned of an age; of several windows its mean counts.
    target: Target,
}

/// Writes `model.pt` and `model.json` into a folder; gives the key of the version.
///
/// # Errors
/// If there is no such model, it is no network, or the folder cannot be written to.
pub fn export(request: &ExportRequest, runtime: &Handle) -> Result<String> {
    let store = runtime.block_on(store::open(&request.root, &request.access))?;
    let (model, card, estimator) = Models { store: &*store, runtime }.open(&request.model)?;
    let Estimator::Network(mut network) = estimator else {
        let name = card.settings.architecture.name();
        return Err(Error::Request(format!("{model} is a {name}: only networks are exported")));
    };
    network.weights.freeze();
    let (scaler, framing) = (&network.inputs.scaler, network.inputs.framing);
    let about = About {
        model: &model,
        frames: framing.frames,
        image: framing.how,
        silence_db: scaler.mel_min_db,
        table: scaler.inputs.iter().map(|input| input.name.as_str()).collect(),
        embedding: scaler.embedding,
        windows: framing.windows,
        target: card.settings.target,
    };
    let folder = Path::new(&request.out);
    let text = serde_json::to_vec_pretty(&about).map_err(|e| Error::damaged("model.json", e))?;
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join("model.json"), text))
        .map_err(|error| Error::Request(format!("{}: {error}", request.out)))?;
    trace(&network)?.save(folder.join("model.pt"))?;
    Ok(model)
}

/// The network, whose weights are frozen, as a module of its own.
fn trace(network: &Network) -> Result<CModule> {
    let (scaler, frames) = (&network.inputs.scaler, network.inputs.framing.frames as i64);
    let options = (Kind::Float, Device::Cpu);
    let columns = (scaler.inputs.len() + scaler.embedding) as i64;
    let inputs = [
        Tensor::full([1, frames, N_MELS as i64], f64::from(scaler.mel_min_db), options),
        Tensor::full([1], frames, (Kind::Int64, Device::Cpu)),
        Tensor::zeros([1, columns], options),
    ];
    let table = Table::of(scaler);
    let mut forward = |inputs: &[Tensor]| vec![age(network, &table, inputs)];
    let trace = || CModule::create_by_tracing("Voxage", "forward", &inputs, &mut forward);
    Ok(tch::no_grad(trace)?)
}

/// How a table is scaled, as rows `[1, inputs]`: made before the trace, which keeps of numbers
/// that are copied into a tensor nothing but its size.
struct Table {
    /// What stands for a missing number.
    usual: Tensor,
    offset: Tensor,
    factor: Tensor,
    /// The greatest magnitude after scaling.
    clip: Tensor,
}

impl Table {
    fn of(scaler: &Scaler) -> Self {
        let row = |of: fn(&Input) -> f64| {
            let numbers: Vec<f32> = scaler.inputs.iter().map(|input| of(input) as f32).collect();
            Tensor::from_slice(&numbers).unsqueeze(0)
        };
        Self {
            usual: row(|input| input.impute.unwrap_or(input.offset)),
            offset: row(|input| input.offset),
            factor: row(|input| input.factor),
            clip: row(|input| input.clip.unwrap_or(f64::from(f32::MAX))),
        }
    }

    fn scaled(&self, raw: &Tensor) -> Tensor {
        let known = raw.where_self(&raw.isnan().logical_not(), &self.usual);
        let scaled = (known - &self.offset) * &self.factor;
        scaled.minimum(&self.clip).maximum(&self.clip.neg())
    }
}

/// The age, `[1]`, in years, of `mel`, `valid` (how many of its frames are the recording's) and
/// `table`.
fn age(network: &Network, scaling: &Table, inputs: &[Tensor]) -> Tensor {
    let scaler = &network.inputs.scaler;
    let (mel, table) = (&inputs[0], &inputs[2]);
    let span = f64::from(scaler.mel_max_db - scaler.mel_min_db);
    let factor = if span > 0.0 { span.recip() } else { 0.0 };
    let images = (mel - f64::from(scaler.mel_min_db)) * factor;
    let known = scaler.inputs.len() as i64;
    let columns = scaling.scaled(&table.narrow(1, 0, known));
    let embedding = table.narrow(1, known, scaler.embedding as i64);
    let embedding = embedding * (scaler.embedding as f64).sqrt();
    let tensors = Tensors {
        images: images.unsqueeze(1),
        valid: inputs[1].shallow_clone(),
        tables: Tensor::cat(&[columns, embedding], 1),
    };
    let learned = network.objective.learned(&network.model.forward(&tensors, false));
    match network.settings.target {
        Target::Age => learned,
        Target::SqrtAge => learned.square(),
        Target::LogAge => learned.exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Example;
    use voxage_contract::training::{Architecture, Loss, TrainSettings};
    use voxage_contract::{Gender, Mel, MelStorage};

    #[test]
    fn an_export_says_what_the_network_says() {
        let input = |name: &str, clip, impute| Input {
            name: name.into(),
            offset: 2.0,
            factor: 0.5,
            clip,
            impute,
        };
        let inputs = vec![
            input("clipped", Some(3.0), Some(1.0)),
            input("usual", None, Some(7.0)),
            input("never", None, None),
            input("gender", None, Some(1.0)),
        ];
        let scaler = Scaler { mel_min_db: -80.0, mel_max_db: 5.0, inputs, embedding: 3 };
        for (architecture, target, loss) in [
            (Architecture::SeedCnnMlp, Target::LogAge, Loss::Mse),
            (Architecture::SeResNet, Target::SqrtAge, Loss::Mse),
            (Architecture::Ecapa, Target::Age, Loss::Ordinal),
            (Architecture::SeResNet, Target::Age, Loss::MeanVariance),
        ] {
            let image = Image::First;
            let settings =
                TrainSettings { architecture, target, loss, image, ..Default::default() };
            let embedding = if architecture == Architecture::SeedCnnMlp { 0 } else { 3 };
            let scaler = Scaler { embedding, ..scaler.clone() };
            tch::manual_seed(3);
            let mut network = Network::new(&settings, scaler, Device::Cpu).unwrap();
            // Its last layer begins with nothing.
            for (_, mut weight) in network.weights.variables() {
                tch::no_grad(|| weight += (Tensor::rand_like(&weight) - 0.5) * 0.01);
            }
            let cells: Vec<f32> = (0..90 * N_MELS).map(|i| -80.0 + (i * 37 % 85) as f32).collect();
            let mel = Mel::encode(&cells, MelStorage::F32);
            let (numbers, tabular) = ([0.6, 0.0, -0.8], vec![Some(1e6), None, Some(4.0)]);
            let example = Example {
                gender: Gender::Female,
                tabular,
                embedding: Some(&numbers),
                mel: mel.view(),
            };
            let mut batch = network.inputs.batch(1);
            network.inputs.push(&mut batch, &example, None);
            let expected = network.ages(&batch).unwrap()[0];

            network.weights.freeze();
            let traced = trace(&network).unwrap();
            let mut frames = vec![-80.0; 128 * N_MELS];
            frames[..cells.len()].copy_from_slice(&cells);
            let table = [&[1e6, f32::NAN, 4.0, 0.0], &numbers[..embedding]].concat();
            let inputs = [
                Tensor::from_slice(&frames).view([1, 128, N_MELS as i64]),
                Tensor::from_slice(&[90_i64]),
                Tensor::from_slice(&table).unsqueeze(0),
            ];
            let found = traced.forward_ts(&inputs).unwrap().double_value(&[0]);
            assert!((found / expected - 1.0).abs() < 1e-4, "{architecture:?} {found} {expected}");
        }
    }
}
