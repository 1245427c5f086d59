//! A network with its scaler: predicts, and travels as safetensors.

use std::collections::HashMap;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use voxage_contract::training::TrainSettings;
use voxage_dataset::Pool;

use crate::inputs::{Batch, Inputs};
use crate::model::Model;
use crate::scaler::Scaler;
use crate::{Error, Result};

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
    pub fn new(settings: &TrainSettings, scaler: Scaler) -> Self {
        let weights = VarStore::new(Device::Cpu);
        let model = Model::new(&weights.root(), settings, scaler.inputs.len() as i64);
        let inputs = Arc::new(Inputs { scaler, image: settings.image, pool: Pool::default() });
        Self { weights, model, inputs, settings: settings.clone() }
    }

    /// A network with the weights of a safetensors file.
    ///
    /// # Errors
    /// If the file is damaged, or its tensors are not those of the settings.
    pub fn load(settings: &TrainSettings, scaler: Scaler, key: &str, bytes: &[u8]) -> Result<Self> {
        let network = Self::new(settings, scaler);
        let file = SafeTensors::deserialize(bytes).map_err(|error| Error::damaged(key, error))?;
        for (name, mut variable) in network.weights.variables() {
            let view = file.tensor(&name).map_err(|error| Error::damaged(key, error))?;
            let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
            if view.dtype() != Dtype::F32 || shape != variable.size() {
                return Err(Error::damaged(key, format!("its tensor {name} is of another shape")));
            }
            let loaded = Tensor::from_data_size(view.data(), &shape, Kind::Float);
            tch::no_grad(|| variable.copy_(&loaded));
        }
        Ok(network)
    }

    /// The weights as a safetensors file.
    ///
    /// # Errors
    /// If torch cannot hand them out.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut tensors = Vec::new();
        for (name, variable) in self.weights.variables() {
            let values: Vec<f32> = (&variable.flatten(0, -1)).try_into()?;
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let shape: Vec<usize> = variable.size().iter().map(|&n| n as usize).collect();
            tensors.push((name, shape, bytes));
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
            Ok((name, view.map_err(|error| Error::damaged(name, error))?))
        });
        // The writer sorts by name: the same weights are the same bytes.
        serialize(views.collect::<Result<Vec<_>>>()?, None::<HashMap<String, String>>)
            .map_err(|error| Error::damaged("weights", error))
    }

    /// The ages of a batch's recordings, in years.
    ///
    /// # Errors
    /// If torch cannot hand them out.
    pub fn ages(&self, batch: &Batch) -> Result<Vec<f64>> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let (images, tables) = batch.tensors();
        let logs = tch::no_grad(|| self.model.forward(&images, &tables, false));
        let logs: Vec<f32> = (&logs).try_into()?;
        Ok(logs.into_iter().map(|log| f64::from(log).exp()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaler::Input;

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
        let network = Network::new(&settings(), scaler());
        let bytes = network.to_bytes().unwrap();
        assert_eq!(bytes, network.to_bytes().unwrap());
        let loaded = Network::load(&settings(), scaler(), "k", &bytes).unwrap();
        assert_eq!(output(&loaded), output(&network));
    }

    #[test]
    fn weights_of_another_network_are_refused() {
        let bytes = Network::new(&settings(), scaler()).to_bytes().unwrap();
        let other = TrainSettings { image_units: 9, ..settings() };
        let error = Network::load(&other, scaler(), "k", &bytes).unwrap_err();
        assert!(error.to_string().contains("of another shape"), "{error}");
        assert!(Network::load(&settings(), scaler(), "k", &bytes[..100]).is_err());
    }
}
