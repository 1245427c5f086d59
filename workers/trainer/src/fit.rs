//! Fitting a network: epochs of steps, stopped by the validation split.
//!
//! Always holds: with the same data, settings and number of threads, the same weights.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use tch::nn::{AdamW, Optimizer, OptimizerConfig as _};
use tch::{Kind, Tensor};
use voxage_contract::Split;
use voxage_contract::training::{Event, Schedule, TrainSettings};
use voxage_dataset::{Dataset, Order, Rng, Sample};
use voxage_shards::Columns;

use crate::inputs::Batch;
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
        let held_out = aged(dataset, stopping, Order::Stored, Columns::All);
        let pairs: Vec<_> = network.predict(held_out)?.iter().filter_map(pair).collect();
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

/// The samples of a split that have an age.
pub(crate) fn aged(
    dataset: &Dataset,
    split: Split,
    order: Order,
    columns: Columns,
) -> impl Iterator<Item = voxage_dataset::Result<Sample>> {
    let samples = dataset.samples(split, order, columns);
    samples.filter(|sample| sample.as_ref().map_or(true, |s| s.recording.age_years.is_some()))
}

/// True and predicted age.
pub(crate) fn pair((sample, predicted): &(Sample, f64)) -> Option<(f64, f64)> {
    Some((sample.recording.age_years?, *predicted))
}

/// One look at the training rows: how to scale them, and their mean.
fn look(dataset: &Dataset, settings: &TrainSettings) -> Result<(Scaler, Training)> {
    let manifest = dataset.manifest();
    let mut fitting = Fitting::new(settings.seed);
    let (mut rows, mut sum, mut sum_log) = (0u64, 0.0, 0.0);
    for sample in aged(dataset, Split::Train, Order::Stored, Columns::All) {
        let Sample { recording, features } = sample?;
        let age = recording.age_years.unwrap_or_default();
        fitting.add(&recording, &features);
        (rows, sum, sum_log) = (rows + 1, sum + age, sum_log + age.ln());
    }
    let scaler = fitting
        .finish(&manifest.spec, settings.scaling)
        .ok_or_else(|| Error::NothingToLearn(manifest.dataset.to_string()))?;
    let n = rows as f64;
    Ok((scaler, Training { rows, mean_age: sum / n, mean_log_age: sum_log / n }))
}

/// The split that stops the training.
fn stopping_split(dataset: &Dataset, say: &mut dyn FnMut(Event)) -> Split {
    if aged(dataset, Split::Validation, Order::Stored, Columns::Table).next().is_some() {
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
    let settings = &network.settings;
    let order = Order::Shuffled { seed: settings.seed, epoch };
    let mut crops = Rng::new(&[settings.seed, epoch, 0xC40B]);
    let mut batch = Batch::new(&network.scaler, settings.image);
    let mut targets: Vec<f32> = Vec::new();
    let (mut total, mut rows) = (0.0, 0);
    let mut step = |batch: &mut Batch<'_>, targets: &mut Vec<f32>| {
        let (images, tables) = batch.take();
        let predicted = network.model.forward(&images, &tables, true);
        let loss = predicted.mse_loss(&Tensor::from_slice(targets), tch::Reduction::Mean);
        optimizer.backward_step(&loss);
        total += loss.to_kind(Kind::Double).double_value(&[]) * targets.len() as f64;
        rows += targets.len();
        targets.clear();
    };
    for sample in aged(dataset, Split::Train, order, Columns::All) {
        let Sample { recording, features } = sample?;
        batch.push(&recording, &features, Some(&mut crops));
        targets.push(recording.age_years.unwrap_or_default().ln() as f32);
        if batch.len() == settings.batch_size {
            step(&mut batch, &mut targets);
        }
    }
    if !batch.is_empty() {
        step(&mut batch, &mut targets);
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
