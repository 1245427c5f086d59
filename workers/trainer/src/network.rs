//! A network with its scaler: predicts, and travels as safetensors.

use std::sync::Arc;

use tch::nn::VarStore;
use tch::{Device, Tensor};
use voxage_contract::training::TrainSettings;
use voxage_dataset::Pool;

use crate::Result;
use crate::inputs::{Batch, Inputs, Tensors};
use crate::model::Model;
use crate::scaler::Scaler;
use crate::tensors::{Packed, pack};

/// A network with its scaler.
#[derive(Debug)]
pub struct Network {
    /// Its weights, by name.
    pub weights: VarStore,
    /// Its layers.
    pub model: Model,
    /// How its inputs are made.
    pub inputs: Arc<Inputs>,
    /// How it was made.
    pub settings: TrainSettings,
}

impl Network {
    /// A network with initial weights from torch's generator.
    #[must_use]
    pub fn new(settings: &TrainSettings, scaler: Scaler, device: Device) -> Self {
        let weights = VarStore::new(device);
        let model = Model::new(&weights.root(), settings, scaler.inputs.len() as i64);
        let inputs =
            Arc::new(Inputs { scaler, image: settings.image, device, pool: Pool::default() });
        Self { weights, model, inputs, settings: settings.clone() }
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
        let network = Self::new(settings, scaler, device);
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

    /// What is learned of the ages, `[n]`; on CUDA in mixed precision.
    pub fn forward(&self, inputs: &Tensors, training: bool) -> Tensor {
        let forward = || self.model.forward(&inputs.images, &inputs.tables, training);
        if self.inputs.device.is_cuda() { tch::autocast(true, forward) } else { forward() }
    }

    /// The ages of a batch's recordings, in years.
    ///
    /// # Errors
    /// If torch cannot hand them out.
    pub fn ages(&self, batch: &Batch) -> Result<Vec<f64>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let inputs = batch.tensors(self.inputs.device);
        let learned = tch::no_grad(|| self.forward(&inputs, false)).to_device(Device::Cpu);
        let learned: Vec<f32> = (&learned).try_into()?;
        let age = |x: f32| self.settings.target.to_age(f64::from(x), 0.0).0;
        Ok(learned.into_iter().map(age).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaler::Input;
    use tch::Kind;

    fn scaler() -> Scaler {
        let input = |name: &str| Input {
            name: name.into(),
            offset: 0.0,
            factor: 1.0,
            clip: None,
            impute: None,
        };
        let inputs = ["a", "b", "gender"].map(input).into();
        Scaler { mel_min_db: -80.0, mel_max_db: 0.0, inputs }
    }

    fn settings() -> TrainSettings {
        TrainSettings { channels: vec![2, 4], image_units: 8, ..TrainSettings::default() }
    }

    fn output(network: &Network) -> Vec<f32> {
        let (images, tables) = (
            Tensor::ones([2, 1, 128, 128], (Kind::Float, Device::Cpu)),
            Tensor::ones([2, 3], (Kind::Float, Device::Cpu)),
        );
        (&network.model.forward(&images, &tables, false)).try_into().unwrap()
    }

    #[test]
    fn weights_travel_as_safetensors() {
        let network = Network::new(&settings(), scaler(), Device::Cpu);
        let bytes = network.to_bytes().unwrap();
        assert_eq!(bytes, network.to_bytes().unwrap());
        let loaded = Network::load(&settings(), scaler(), Device::Cpu, "k", &bytes).unwrap();
        assert_eq!(output(&loaded), output(&network));
    }

    #[test]
    fn weights_of_another_network_are_refused() {
        let bytes = Network::new(&settings(), scaler(), Device::Cpu).to_bytes().unwrap();
        let other = TrainSettings { image_units: 9, ..settings() };
        let error = Network::load(&other, scaler(), Device::Cpu, "k", &bytes).unwrap_err();
        assert!(error.to_string().contains("of another shape"), "{error}");
        assert!(Network::load(&settings(), scaler(), Device::Cpu, "k", &bytes[..100]).is_err());
    }
}
