//! A training under way: a network, its optimizer, and how far it is.
//!
//! Always holds: what comes next follows from what [`Session::pack`] keeps, the data and
//! the settings, so that a session that is taken up again goes on as if nothing had
//! happened. Randomness has no state: each step's follows from the seed and its number.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};
use voxage_contract::training::{Schedule, TrainSettings};
use voxage_dataset::{Pool, Rng};

use crate::feed::Fed;
use crate::inputs::Inputs;
use crate::model::BACKBONE;
use crate::nets::load_pretrained;
use crate::network::Network;
use crate::optimizer::AdamW;
use crate::pace::Pace;
use crate::scaler::Scaler;
use crate::tensors::{Packed, pack};
use crate::years::Years;
use crate::{Error, Result, device};

use launch::Launch;

/// The checkpoint that this build writes, and the only one that it goes on from: one of
/// another format would go on otherwise than it began.
const FORMAT: u32 = 1;

/// A training under way.
#[derive(Debug)]
pub struct Session {
    /// With the weights of the last step.
    pub network: Network,
    /// What it is fitted to.
    pub training: Training,
    /// How far it is.
    pub position: Position,
    optimizer: AdamW,
    /// The weights of the best epoch so far.
    best: Named,
    /// The running mean of the weights; empty if the settings want none.
    averaged: Named,
    /// Summed losses: of the epoch under way, and since the last line of metrics.
    losses: Tensor,
    launch: Launch,
    pace: Pace,
}

type Named = Vec<(String, Tensor)>;

/// What a network is fitted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Training recordings with an age.
    pub rows: u64,
    /// Their mean age in years: the baseline.
    pub mean_age: f64,
    /// How much each whole year counts, from 0 on; empty where all count alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub year_weights: Vec<f32>,
}

/// Gathers a [`Training`], age by age.
#[derive(Debug, Default)]
pub struct Means {
    rows: u64,
    sum: f64,
    years: Years,
}

impl Means {
    /// Takes in the age of one training row, in years.
    pub fn add(&mut self, age: f64) {
        self.rows += 1;
        self.sum += age;
        self.years.add(age);
    }

    /// What there was; with weights of years smoothed over `lds_years`, unless that is 0.
    #[must_use]
    pub fn finish(&self, lds_years: f64) -> Training {
        let year_weights = if lds_years > 0.0 { self.years.weights(lds_years) } else { Vec::new() };
        Training { rows: self.rows, mean_age: self.sum / self.rows as f64, year_weights }
    }
}

/// How far a training is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Steps that are done.
    pub step: u64,
    /// Samples of the epoch under way that are done.
    pub sample: u64,
    /// Samples since the last line of metrics.
    pub window: u64,
    /// Epochs that are done.
    pub epochs: Vec<Epoch>,
    /// The best of them, from 1; 0 if none gave a number.
    pub best_epoch: u64,
}

/// One pass over the training split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: u64,
    /// Mean loss while training; none if it was no number.
    pub loss: Option<f64>,
    /// Root mean squared error in years on the validation split; on the training split
    /// where there is none. None if it was no number.
    pub stopping_rmse: Option<f64>,
}

/// What a checkpoint says beside its tensors.
#[derive(Serialize, Deserialize)]
struct Text {
    format: u32,
    training: Training,
    position: Position,
    /// As bits: they may be no numbers.
    losses: Vec<u64>,
    scaler: Scaler,
}

impl Session {
    /// A training before its first step.
    ///
    /// # Errors
    /// If the device is not there.
    pub fn new(settings: &TrainSettings, scaler: Scaler, training: Training) -> Result<Self> {
        tch::manual_seed(settings.seed as i64);
        let device = device::resolve(settings.device)?;
        let mut network = Network::new(settings, scaler, device)?;
        network.objective.weigh(&training.year_weights);
        let mean = settings.target.of_age(training.mean_age);
        network.model.start_at(&network.objective.start(mean));
        let optimizer = AdamW::new(&network.weights, settings.weight_decay);
        let best = copies(&network);
        let averaged = if settings.ema > 0.0 { copies(&network) } else { Vec::new() };
        let losses = Tensor::zeros([2], (Kind::Double, network.weights.device()));
        let position = Position::default();
        let launch = Launch::default();
        let pace = Pace::of(device)?;
        Ok(Self { network, training, position, optimizer, best, averaged, losses, launch, pace })
    }

    /// Lets the network over the image start from a published checkpoint.
    ///
    /// # Errors
    /// If it is not one of the architecture's.
    pub fn start_from(&mut self, key: &str, bytes: &[u8]) -> Result<()> {
        let (weights, settings) = (&self.network.weights, &self.network.settings);
        load_pretrained(key, bytes, settings.architecture, weights, &format!("{BACKBONE}."))?;
        self.best = copies(&self.network);
        if settings.ema > 0.0 {
            self.averaged = copies(&self.network);
        }
        self.launch = Launch::default();
        Ok(())
    }

    /// Lets the training start from a network; false, and nothing is changed, if that is of
    /// another kind, size or purpose.
    #[must_use]
    pub fn start_like(&mut self, other: &Network) -> bool {
        let (own, settings) = (&self.network.settings, &other.settings);
        let shapes = |network: &Network| {
            let weights = network.weights.variables().into_iter();
            weights.map(|(name, weight)| (name, weight.size())).collect::<BTreeMap<_, _>>()
        };
        let names = |network: &Network| {
            let inputs = network.inputs.scaler.inputs.iter();
            inputs.map(|input| input.name.clone()).collect::<Vec<_>>()
        };
        let purpose =
            |settings: &TrainSettings| (settings.architecture, settings.target, settings.loss);
        if purpose(own) != purpose(settings)
            || names(&self.network) != names(other)
            || shapes(&self.network) != shapes(other)
        {
            return false;
        }
        restore(&self.network, &copies(other));
        // Its weights know its inputs as they were scaled for it.
        self.network.inputs = Arc::new(Inputs {
            scaler: other.inputs.scaler.clone(),
            framing: self.network.inputs.framing,
            device: self.network.inputs.device,
            pool: Pool::default(),
        });
        self.best = copies(&self.network);
        if self.network.settings.ema > 0.0 {
            self.averaged = copies(&self.network);
        }
        self.launch = Launch::default();
        true
    }

    /// The training that a checkpoint was made of.
    ///
    /// # Errors
    /// If it is damaged, or of another network or format.
    pub fn unpack(settings: &TrainSettings, key: &str, bytes: &[u8]) -> Result<Self> {
        let file = Packed::open(key, bytes)?;
        let damaged = |error: serde_json::Error| Error::damaged(key, error);
        let text: Text = serde_json::from_str(file.text().unwrap_or_default()).map_err(damaged)?;
        if text.format != FORMAT {
            return Err(Error::damaged(key, "another version of voxage wrote it"));
        }
        let mut session = Self::new(settings, text.scaler, text.training)?;
        session.position = text.position;
        let losses: Vec<f64> = text.losses.into_iter().map(f64::from_bits).collect();
        session.losses.copy_(&Tensor::from_slice(&losses));
        for (name, tensor) in session.state() {
            file.fill(&name, &mut tensor.shallow_clone())?;
        }
        Ok(session)
    }

    /// A checkpoint.
    ///
    /// # Errors
    /// If torch cannot hand the tensors out.
    pub fn pack(&self) -> Result<Vec<u8>> {
        let text = Text {
            format: FORMAT,
            training: self.training.clone(),
            position: self.position.clone(),
            losses: Vec::<f64>::try_from(&self.losses.to_device(Device::Cpu))?
                .into_iter()
                .map(f64::to_bits)
                .collect(),
            scaler: self.network.inputs.scaler.clone(),
        };
        let text = serde_json::to_string(&text).map_err(|e| Error::damaged("a checkpoint", e))?;
        let state = self.state();
        pack(state.iter().map(|(name, tensor)| (name.clone(), tensor)), Some(text))
    }

    /// Every tensor that a checkpoint keeps.
    fn state(&self) -> Named {
        let mut state = Named::new();
        let mut add = |part: &str, named: Named| {
            let full = |(name, tensor)| (format!("{part}/{name}"), tensor);
            state.extend(named.into_iter().map(full));
        };
        add("weights", self.network.weights.variables().into_iter().collect());
        add("adamw", self.optimizer.state());
        add("best", shallow(&self.best));
        add("averaged", shallow(&self.averaged));
        state
    }

    /// One step down the loss of a batch.
    ///
    /// # Errors
    /// If torch fails.
    pub fn step(&mut self, batch: &Fed) -> Result<()> {
        let step = Rng::new(&[self.network.settings.seed, 0x57E9, self.position.step]).next();
        tch::manual_seed((step >> 1) as i64);
        self.optimizer.set_learning_rate(self.learning_rate());
        self.launch(batch)?;
        self.pace.step()?;
        let samples = batch.targets.numel() as u64;
        self.position.step += 1;
        self.position.sample += samples;
        self.position.window += samples;
        Ok(())
    }

    /// The step size of the next step.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        let settings = &self.network.settings;
        let warm = (self.position.step + 1) as f64 / settings.warmup_steps.max(1) as f64;
        let rate = settings.learning_rate * warm.min(1.0);
        match settings.schedule {
            Schedule::Constant => rate,
            Schedule::Cosine => {
                let epochs = self.position.epochs.len() as f64;
                let done = epochs + self.position.sample as f64 / self.training.rows as f64;
                rate * (0.5 + 0.5 * (PI * done / settings.epochs as f64).cos())
            }
        }
    }

    /// The mean loss since the last call, or since the start of the epoch; none if it is no
    /// number.
    pub fn take_window_loss(&mut self) -> Option<f64> {
        let loss = self.losses.double_value(&[1]) / self.position.window as f64;
        self.position.window = 0;
        let _ = self.losses.get(1).fill_(0.0);
        number(loss)
    }

    /// Runs `measure` on the weights that would be kept: the mean ones, if there are any.
    ///
    /// # Errors
    /// What `measure` fails with.
    pub fn with_kept<T>(&self, measure: impl FnOnce(&Network) -> Result<T>) -> Result<T> {
        if self.averaged.is_empty() {
            return measure(&self.network);
        }
        let weights = copies(&self.network);
        restore(&self.network, &self.averaged);
        let measured = measure(&self.network);
        restore(&self.network, &weights);
        measured
    }

    /// Ends an epoch with the RMSE that its weights reach on the split that stops the
    /// training, in years; none if that is no number.
    pub fn end_epoch(&mut self, stopping_rmse: Option<f64>) -> Epoch {
        let best = self.position.best_rmse();
        let epoch = Epoch {
            epoch: self.position.epochs.len() as u64 + 1,
            loss: number(self.losses.double_value(&[0]) / self.position.sample as f64),
            stopping_rmse,
        };
        if stopping_rmse.is_some_and(|rmse| best.is_none_or(|best| rmse < best)) {
            self.position.best_epoch = epoch.epoch;
            self.best = if self.averaged.is_empty() {
                copies(&self.network)
            } else {
                self.averaged.iter().map(|(name, mean)| (name.clone(), mean.copy())).collect()
            };
        }
        self.position.epochs.push(epoch);
        (self.position.sample, self.position.window) = (0, 0);
        let _ = self.losses.fill_(0.0);
        epoch
    }

    /// The network with its best weights.
    #[must_use]
    pub fn into_best(self) -> Network {
        restore(&self.network, &self.best);
        self.network
    }
}

impl Position {
    /// The RMSE of the best epoch.
    #[must_use]
    pub fn best_rmse(&self) -> Option<f64> {
        let best = self.epochs.iter().find(|epoch| epoch.epoch == self.best_epoch);
        best.and_then(|epoch| epoch.stopping_rmse)
    }

    /// Epochs since the best one.
    #[must_use]
    pub fn waited(&self) -> u64 {
        self.epochs.len() as u64 - self.best_epoch
    }
}

fn number(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

fn shallow(named: &Named) -> Named {
    named.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
}

fn copies(network: &Network) -> Named {
    let weights = network.weights.variables().into_iter();
    weights.map(|(name, weight)| (name, weight.detach().copy())).collect()
}

fn restore(network: &Network, named: &Named) {
    let mut variables = network.weights.variables();
    tch::no_grad(|| {
        for (name, weight) in named {
            if let Some(variable) = variables.get_mut(name) {
                variable.copy_(weight);
            }
        }
    });
}

mod launch;
#[cfg(test)]
mod tests;
