//! Fitting a network: epochs of steps, stopped by the validation split.
//!
//! Always holds: with the same data, settings and number of threads, the same weights.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tch::nn::{AdamW, Optimizer, OptimizerConfig as _};
use tch::{Kind, Tensor};
use voxage_contract::training::{Event, Schedule, TrainSettings};
use voxage_contract::{MelStorage, Split};
use voxage_dataset::{Columns, Dataset, Order, Pass, Rng, Sample};

use crate::evaluate::{Predicted, predicted};
use crate::inputs::Example;
use crate::metrics::scores;
use crate::network::Network;
use crate::scaler::{Fitting, Scaler};
use crate::{Error, Result};

/// A fitted network and how it came about.
#[derive(Debug)]
pub struct Fitted {
    /// With the best weights.
    pub network: Network,
    /// What it was fitted to.
    pub training: Training,
    /// Each pass over the training split.
    pub epochs: Vec<Epoch>,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: u64,
}

/// What a network was fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Training recordings with an age.
    pub rows: u64,
    /// Their mean age in years: the baseline.
    pub mean_age: f64,
    /// Mean of the logarithm of their ages.
    pub mean_log_age: f64,
}

/// One pass over the training split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: u64,
    /// Mean squared error of the logarithm of the age, while training.
    pub loss: f64,
    /// Root mean squared error in years on the validation split; on the training split
    /// where there is none.
    pub stopping_rmse: f64,
}

/// Fits a network to a data set; `say` hears how it goes.
///
/// # Errors
/// If there is nothing to learn from, the settings make no network, or reading fails.
pub fn fit(
    dataset: &Dataset,
    settings: &TrainSettings,
    say: &mut dyn FnMut(Event),
) -> Result<Fitted> {
    settings.check().map_err(Error::Setting)?;
    tch::set_num_threads(settings.threads as i32);
    tch::manual_seed(settings.seed as i64);
    let (scaler, training) = look(dataset, settings)?;
    let mut network = Network::new(settings, scaler);
    network.model.start_at(training.mean_log_age);
    let stopping = stopping_split(dataset, say);
    let mut optimizer = AdamW { wd: settings.weight_decay, ..AdamW::default() }
        .build(&network.weights, settings.learning_rate)?;
    let mut best = Best { rmse: f64::INFINITY, epoch: 0, weights: Vec::new() };
    let mut epochs = Vec::new();
    let start = Instant::now();
    for epoch in 1..=settings.epochs {
        if settings.schedule == Schedule::Cosine {
            let done = (epoch - 1) as f64 / settings.epochs as f64;
            let share = 0.5 + 0.5 * (std::f64::consts::PI * done).cos();
            optimizer.set_lr(settings.learning_rate * share);
        }
        let loss = pass(dataset, &network, &mut optimizer, epoch)?;
        let held_out = predicted(dataset, &network, stopping)?;
        let pairs: Vec<_> = held_out.iter().map(Predicted::pair).collect();
        let stopping_rmse = scores(&pairs).rmse.unwrap_or(f64::INFINITY);
        if stopping_rmse < best.rmse {
            best = Best::of(&network, stopping_rmse, epoch);
        }
        epochs.push(Epoch { epoch, loss, stopping_rmse });
        let speed = (epoch * training.rows) as f64 / start.elapsed().as_secs_f64();
        say(Event::Progress {
            done: epoch * training.rows,
            total: settings.epochs * training.rows,
            message: format!(
                "epoch {epoch}/{} loss {loss:.4} {} RMSE {stopping_rmse:.2} (best {:.2} at {}) {speed:.0} samples/s",
                settings.epochs,
                stopping.text().unwrap_or_default(),
                best.rmse,
                best.epoch
            ),
        });
        if epoch - best.epoch >= settings.patience {
            break;
        }
    }
    if best.epoch == 0 {
        let why = "train.learning_rate: no epoch gave a number: lower it".into();
        return Err(Error::Setting(why));
    }
    best.restore(&network);
    Ok(Fitted { network, training, epochs, best_epoch: best.epoch })
}

/// One look at the training rows: how to scale them, and their mean.
fn look(dataset: &Dataset, settings: &TrainSettings) -> Result<(Scaler, Training)> {
    /// Rows that are looked at at a time.
    const ROWS: usize = 256;
    let manifest = dataset.manifest();
    let columns = match manifest.spec.mel.storage {
        // Their range is known without them.
        MelStorage::U8 => Columns::Table,
        MelStorage::F16 | MelStorage::F32 => Columns::All,
    };
    let pass = Pass { split: Split::Train, order: Order::Stored, columns, start: 0 };
    let samples = dataset
        .batches(pass, ROWS, settings.threads, |_, samples| samples.collect::<Vec<Sample>>());
    let mut fitting = Fitting::new(settings.seed);
    let (mut rows, mut sum, mut sum_log) = (0u64, 0.0, 0.0);
    for samples in samples {
        for sample in samples? {
            let age = sample.age_years().unwrap_or_default();
            fitting.add(&Example::from(&sample));
            (rows, sum, sum_log) = (rows + 1, sum + age, sum_log + age.ln());
        }
    }
    let scaler = fitting
        .finish(&manifest.spec, settings.scaling)
        .ok_or_else(|| Error::NothingToLearn(manifest.dataset.to_string()))?;
    let n = rows as f64;
    Ok((scaler, Training { rows, mean_age: sum / n, mean_log_age: sum_log / n }))
}

/// The split that stops the training.
fn stopping_split(dataset: &Dataset, say: &mut dyn FnMut(Event)) -> Split {
    if dataset.len(Split::Validation) > 0 {
        return Split::Validation;
    }
    let message = "no speaker with an age is in the validation split: the training split stops the training, which overfits. Add speakers or raise train.validation_share";
    say(Event::Note { message: message.into() });
    Split::Train
}

/// One pass over the training split; gives its mean loss.
fn pass(
    dataset: &Dataset,
    network: &Network,
    optimizer: &mut Optimizer,
    epoch: u64,
) -> Result<f64> {
    let TrainSettings { seed, batch_size, threads, .. } = network.settings;
    let order = Order::Shuffled { seed, epoch };
    let pass = Pass { split: Split::Train, order, columns: Columns::All, start: 0 };
    let inputs = Arc::clone(&network.inputs);
    let batches = dataset.batches(pass, batch_size, threads, move |first, samples| {
        let mut batch = inputs.batch(samples.len());
        let mut targets = Vec::with_capacity(samples.len());
        for (position, sample) in (first..).zip(samples) {
            // Each has its own draw: it does not matter where a pass begins.
            let mut crop = Rng::new(&[seed, epoch, 0xC40B, position]);
            inputs.push(&mut batch, &Example::from(&sample), Some(&mut crop));
            targets.push(sample.age_years().unwrap_or_default().ln() as f32);
        }
        (batch, targets)
    });
    let (mut total, mut rows) = (0.0, 0);
    for batch in batches {
        let (batch, targets) = batch?;
        let (images, tables) = batch.tensors();
        let predicted = network.model.forward(&images, &tables, true);
        let loss = predicted.mse_loss(&Tensor::from_slice(&targets), tch::Reduction::Mean);
        optimizer.backward_step(&loss);
        total += loss.to_kind(Kind::Double).double_value(&[]) * targets.len() as f64;
        rows += targets.len();
    }
    Ok(total / rows as f64)
}

/// The best weights so far.
struct Best {
    rmse: f64,
    epoch: u64,
    weights: Vec<(String, Tensor)>,
}

impl Best {
    fn of(network: &Network, rmse: f64, epoch: u64) -> Self {
        let weights = network.weights.variables().into_iter();
        let weights = weights.map(|(name, weight)| (name, weight.detach().copy())).collect();
        Self { rmse, epoch, weights }
    }

    fn restore(&self, network: &Network) {
        let mut variables = network.weights.variables();
        tch::no_grad(|| {
            for (name, weight) in &self.weights {
                if let Some(variable) = variables.get_mut(name) {
                    variable.copy_(weight);
                }
            }
        });
    }
}
