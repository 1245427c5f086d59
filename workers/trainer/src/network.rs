//! A network with its scaler: predicts, and travels as safetensors.

use std::sync::Arc;

use tch::nn::VarStore;
use tch::{Device, Tensor};
use voxage_contract::training::{Device as Wanted, TrainSettings};
use voxage_dataset::Pool;

use crate::Result;
use crate::device::mixed;
use crate::image::Framing;
use crate::inputs::{Batch, Inputs, Tensors};
use crate::model::Model;
use crate::objective::Objective;
use crate::scaler::Scaler;
use crate::tensors::{Packed, pack};

/// Windows that are predicted at a time.
const WINDOWS: i64 = 64;

/// A network with its scaler.
#[derive(Debug)]
pub struct Network {
    /// Its weights, by name.
    pub weights: VarStore,
    /// Its layers.
    pub model: Model,
    /// What its outputs mean.
    pub objective: Objective,
    /// How its inputs are made.
    pub inputs: Arc<Inputs>,
    /// How it was made.
    pub settings: TrainSettings,
}

impl Network {
    /// A network with initial weights from torch's generator.
    ///
    /// # Errors
    /// If the architecture is no network.
    pub fn new(settings: &TrainSettings, scaler: Scaler, device: Device) -> Result<Self> {
        let weights = VarStore::new(device);
        let objective = Objective::of(settings, device);
        let model = Model::new(&weights.root(), settings, &scaler, objective.outputs())?;
        let framing = Framing::of(settings);
        let inputs = Arc::new(Inputs { scaler, framing, device, pool: Pool::default() });
        Ok(Self { weights, model, objective, inputs, settings: settings.clone() })
    }

    /// A network with the weights of a safetensors file.
    ///
    /// # Errors
    /// If the file is damaged, or its tensors are not those of the settings.
    pub fn load(
        settings: &TrainSettings,
        scaler: Scaler,
        device: Device,
        key: &str,
        bytes: &[u8],
    ) -> Result<Self> {
        let network = Self::new(settings, scaler, device)?;
        let file = Packed::open(key, bytes)?;
        for (name, mut variable) in network.weights.variables() {
            file.fill(&name, &mut variable)?;
        }
        Ok(network)
    }

    /// The weights as a safetensors file.
    ///
    /// # Errors
    /// If torch cannot hand them out.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let weights = self.weights.variables();
        pack(weights.iter().map(|(name, weight)| (name.clone(), weight)), None)
    }

    /// Outputs, `[n, outputs]`; on CUDA, and with `cpu-bf16` in training, in mixed precision.
    pub fn forward(&self, inputs: &Tensors, training: bool) -> Tensor {
        let device = self.inputs.device;
        let is_mixed = device.is_cuda() || training && self.settings.device == Wanted::CpuBf16;
        mixed(device, is_mixed, || self.model.forward(inputs, training))
    }

    /// The ages of a batch's recordings, in years; what is learned of a recording's windows is
    /// averaged.
    ///
    /// # Errors
    /// If torch cannot hand them out.
    pub fn ages(&self, batch: &Batch) -> Result<Vec<f64>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let inputs = batch.tensors(self.inputs.device);
        let n = inputs.valid.size()[0];
        let mut learned = Vec::new();
        for first in (0..n).step_by(WINDOWS as usize) {
            let windows = inputs.narrow(first, WINDOWS.min(n - first));
            let outputs = tch::no_grad(|| self.forward(&windows, false));
            let part = self.objective.learned(&outputs).to_device(Device::Cpu);
            learned.extend(Vec::<f32>::try_from(&part)?);
        }
        let mut learned = learned.into_iter().map(f64::from);
        let age = |&windows: &usize| {
            let mean = learned.by_ref().take(windows).sum::<f64>() / windows as f64;
            self.settings.target.to_age(mean, 0.0).0
        };
        Ok(batch.windows().iter().map(age).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::Example;
    use crate::scaler::Input;
    use tch::Kind;
    use voxage_contract::training::{Architecture, Image, SeResNet};
    use voxage_contract::{Gender, Mel, MelStorage, N_MELS};

    fn scaler() -> Scaler {
        let input = |name: &str| Input {
            name: name.into(),
            offset: 0.0,
            factor: 1.0,
            clip: None,
            impute: None,
        };
        let inputs = ["a", "b", "gender"].map(input).into();
        Scaler { mel_min_db: -80.0, mel_max_db: 0.0, inputs, embedding: 0 }
    }

    fn settings() -> TrainSettings {
        TrainSettings {
            architecture: Architecture::SeedCnnMlp,
            channels: vec![2, 4],
            image_units: 8,
            ..TrainSettings::default()
        }
    }

    fn network() -> Network {
        Network::new(&settings(), scaler(), Device::Cpu).unwrap()
    }

    fn inputs() -> Tensors {
        Tensors {
            images: Tensor::ones([2, 1, 128, 128], (Kind::Float, Device::Cpu)),
            valid: Tensor::full([2], 128, (Kind::Int64, Device::Cpu)),
            tables: Tensor::ones([2, 3], (Kind::Float, Device::Cpu)),
        }
    }

    fn output(network: &Network) -> Vec<f32> {
        (&network.model.forward(&inputs(), false).view(-1)).try_into().unwrap()
    }

    /// The ages of recordings with these spectrograms.
    fn ages(network: &Network, mels: &[&Mel]) -> Vec<f64> {
        let mut batch = network.inputs.batch(1);
        for mel in mels {
            let example = Example {
                gender: Gender::Female,
                tabular: vec![Some(0.0); 2],
                embedding: None,
                mel: mel.view(),
            };
            network.inputs.push(&mut batch, &example, None);
        }
        network.ages(&batch).unwrap()
    }

    #[test]
    fn weights_travel_as_safetensors() {
        let network = network();
        let bytes = network.to_bytes().unwrap();
        assert_eq!(bytes, network.to_bytes().unwrap());
        let loaded = Network::load(&settings(), scaler(), Device::Cpu, "k", &bytes).unwrap();
        assert_eq!(output(&loaded), output(&network));
    }

    #[test]
    fn a_prediction_is_the_mean_over_windows() {
        tch::manual_seed(1);
        let settings = TrainSettings {
            architecture: Architecture::SeResNet,
            se_resnet: SeResNet { channels: vec![4, 8], blocks: vec![1, 1], ..Default::default() },
            image: Image::RandomCrop,
            windows: 3,
            ..settings()
        };
        let network = Network::new(&settings, scaler(), Device::Cpu).unwrap();
        let mut weights = network.weights.variables()["age.weight"].shallow_clone();
        let _ = tch::no_grad(|| weights.fill_(0.1));
        let level = |db: f32, frames: usize| vec![db; frames * N_MELS];
        let mel = |cells: &[f32]| Mel::encode(cells, MelStorage::F32);
        let (soft, loud) = (level(-60.0, 128), level(-10.0, 128));
        let both = mel(&[soft.clone(), loud.clone()].concat());
        let (soft, loud) = (mel(&soft), mel(&loud));
        let found = ages(&network, &[&soft, &both, &loud]);
        let root = |age: f64| age.sqrt();
        assert!((root(found[0]) - root(found[2])).abs() > 1e-3, "{found:?}");
        let mean = (root(found[0]) + root(found[2])) / 2.0;
        assert!((root(found[1]) - mean).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn only_training_steps_are_in_half_the_precision() {
        let outputs = |device, training| {
            tch::manual_seed(1);
            let settings = TrainSettings { device, dropout: 0.0, ..settings() };
            let network = Network::new(&settings, scaler(), Device::Cpu).unwrap();
            let mut weights = network.weights.variables()["age.weight"].shallow_clone();
            let _ = tch::no_grad(|| weights.fill_(1.0));
            f64::try_from(network.forward(&inputs(), training).mean(Kind::Float)).unwrap()
        };
        let (whole, half) = (outputs(Wanted::Cpu, true), outputs(Wanted::CpuBf16, true));
        assert!(whole != half && (whole - half).abs() < 0.02 * whole.abs(), "{whole} {half}");
        assert_eq!(outputs(Wanted::CpuBf16, false), whole);
    }

    #[test]
    fn weights_of_another_network_are_refused() {
        let bytes = network().to_bytes().unwrap();
        let other = TrainSettings { image_units: 9, ..settings() };
        let error = Network::load(&other, scaler(), Device::Cpu, "k", &bytes).unwrap_err();
        assert!(error.to_string().contains("of another shape"), "{error}");
        assert!(Network::load(&settings(), scaler(), Device::Cpu, "k", &bytes[..100]).is_err());
    }
}
