//! Fitting a network: epochs of steps, stopped by the validation split.
//!
//! Always holds: with the same data, settings and number of threads, the same weights,
//! however often the work is interrupted and by however many threads samples are read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use voxage_contract::scores::scores;
use voxage_contract::training::{Architecture, Event, Metric, TrainSettings, Upkeep};
use voxage_contract::{MelStorage, Split};
use voxage_dataset::{Columns, Dataset, Order, Pass, Sample};

use crate::evaluate::{age, predicted};
use crate::feed::{Epochs, Feed};
use crate::inputs::Example;
use crate::run::Run;
use crate::scaler::{Fitting, Scaler};
use crate::session::{Means, Position, Session, Training};
use crate::{Error, Result};

/// Lines of metrics of one epoch, about.
const LINES: u64 = 10;

/// Steps between two lines of metrics, at most.
const MOST_STEPS: u64 = 200;

/// What a fit works with, beside its session.
pub struct Bench<'a> {
    /// The data.
    pub dataset: &'a Dataset,
    /// The run in the store.
    pub run: &'a mut Run,
    /// How it is carried out.
    pub upkeep: &'a Upkeep,
    /// Set when the process is asked to stop.
    pub stop: &'a AtomicBool,
    /// Hears how it goes.
    pub say: &'a mut dyn FnMut(Event),
}

/// A training before its first step: the scaler and the means follow from the training rows.
///
/// # Errors
/// If there is nothing to learn from, the settings make no network, or reading fails.
pub fn start(
    dataset: &Dataset,
    settings: &TrainSettings,
    loader_threads: usize,
) -> Result<Session> {
    let (scaler, training) = look(dataset, settings, loader_threads)?;
    Session::new(settings, scaler, training)
}

/// Trains until the end; false if it was asked to stop, and left a checkpoint.
///
/// # Errors
/// If reading or writing fails, or no epoch gives a number.
pub fn fit(session: &mut Session, bench: &mut Bench<'_>) -> Result<bool> {
    let settings = session.network.settings.clone();
    let stopping = stopping_split(bench);
    let feed = Feed::new(bench.dataset, &session.network.inputs, &settings, bench.upkeep)?;
    let begun = session.position.epochs.len() as u64 + 1;
    let mut batches = feed.epochs(begun, session.position.sample);
    while (session.position.epochs.len() as u64) < settings.epochs {
        let (start, before) = (Instant::now(), session.position.sample);
        if !pass(session, &mut batches, bench)? {
            bench.run.keep(session.position.step, session.pack()?);
            return Ok(false);
        }
        let samples = session.position.sample - before;
        let held_out = session.with_kept(|network| {
            predicted(bench.dataset, network, stopping, bench.upkeep.loader_threads, age)
        })?;
        let pairs: Vec<_> = held_out.iter().map(|(age, estimate)| (*age, estimate.age)).collect();
        let learning_rate = session.learning_rate();
        let epoch = session.end_epoch(scores(&pairs).rmse);
        let metric = Metric {
            step: session.position.step,
            epoch: epoch.epoch,
            loss: epoch.loss,
            learning_rate,
            samples_per_s: samples as f64 / start.elapsed().as_secs_f64(),
            loader_wait: None,
            stopping_rmse: epoch.stopping_rmse,
            epoch_end: true,
            at_unix_s: 0.0,
        };
        tell(session, bench, metric);
        if session.position.waited() >= settings.patience {
            break;
        }
    }
    if session.position.best_epoch == 0 {
        let why = "train.learning_rate: no epoch gave a number: lower it".into();
        return Err(Error::Setting(why));
    }
    Ok(true)
}

/// What is left of an epoch's steps; false if the process was asked to stop.
fn pass(session: &mut Session, batches: &mut Epochs<'_>, bench: &mut Bench<'_>) -> Result<bool> {
    let batch_size = session.network.settings.batch_size as u64;
    let epoch = session.position.epochs.len() as u64 + 1;
    let steps = session.training.rows.div_ceil(batch_size);
    let line_every = steps.div_ceil(LINES).min(MOST_STEPS) * batch_size;
    let (mut since, mut waited) = (Instant::now(), Duration::ZERO);
    while session.position.sample < session.training.rows {
        let asked = Instant::now();
        let Some(batch) = batches.next() else { break };
        waited += asked.elapsed();
        if bench.stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        bench.run.may_go_on()?;
        let learning_rate = session.learning_rate();
        session.step(&batch?)?;
        let Position { step, sample, window, .. } = session.position;
        if window >= line_every || sample == session.training.rows {
            let metric = Metric {
                step,
                epoch,
                loss: session.take_window_loss(),
                learning_rate,
                samples_per_s: window as f64 / since.elapsed().as_secs_f64(),
                loader_wait: Some(waited.as_secs_f64() / since.elapsed().as_secs_f64()),
                stopping_rmse: None,
                epoch_end: false,
                at_unix_s: 0.0,
            };
            tell(session, bench, metric);
            (since, waited) = (Instant::now(), Duration::ZERO);
        }
        if bench.run.wants_checkpoint() {
            bench.run.keep(step, session.pack()?);
        }
    }
    Ok(!bench.stop.load(Ordering::Relaxed))
}

/// Writes down and says how far the training is.
fn tell(session: &Session, bench: &mut Bench<'_>, metric: Metric) {
    bench.run.metric(metric);
    (bench.say)(Event::Measured(metric));
    let (position, epochs) = (&session.position, session.network.settings.epochs);
    let rows = session.training.rows;
    let number = |value: Option<f64>, digits| {
        value.map_or("no number".to_owned(), |value| format!("{value:.digits$}"))
    };
    let mut message = format!("epoch {}/{epochs} loss {}", metric.epoch, number(metric.loss, 4));
    if metric.epoch_end {
        message += &format!(" RMSE {}", number(metric.stopping_rmse, 2));
    }
    if let Some(rmse) = position.best_rmse() {
        message += &format!(" (best {rmse:.2} at {})", position.best_epoch);
    }
    message += &format!(" {:.0} samples/s", metric.samples_per_s);
    let done = position.epochs.len() as u64 * rows + position.sample;
    (bench.say)(Event::Progress { done, total: epochs * rows, message });
}

/// One look at the training rows: how to scale them, and their mean.
fn look(
    dataset: &Dataset,
    settings: &TrainSettings,
    loader_threads: usize,
) -> Result<(Scaler, Training)> {
    /// Rows that are looked at at a time.
    const ROWS: usize = 256;
    let manifest = dataset.manifest();
    let columns = match manifest.spec.mel.storage {
        // Their range is known without them.
        MelStorage::U8 => Columns::Table,
        MelStorage::F16 | MelStorage::F32 => Columns::All,
    };
    let pass = Pass { split: Split::Train, order: Order::Stored, columns, start: 0 };
    let samples =
        dataset.batches(pass, ROWS, loader_threads, |_, samples| samples.collect::<Vec<Sample>>());
    let mut fitting = Fitting::new(settings.seed);
    let mut means = Means::default();
    for samples in samples {
        for sample in samples? {
            fitting.add(&Example::from(&sample));
            means.add(sample.age_years().unwrap_or_default());
        }
    }
    let takes = settings.architecture != Architecture::SeedCnnMlp && settings.embedding_units > 0;
    let embedding = if takes { manifest.spec.embedding.units() } else { 0 };
    let scaler = fitting
        .finish(&manifest.spec, settings.scaling, embedding)
        .ok_or_else(|| Error::NothingToLearn(manifest.dataset.to_string()))?;
    Ok((scaler, means.finish(settings.lds_years)))
}

/// The split that stops the training.
fn stopping_split(bench: &mut Bench<'_>) -> Split {
    if bench.dataset.len(Split::Validation) > 0 {
        return Split::Validation;
    }
    let message = "no speaker with an age is in the validation split: the training split stops the training, which overfits. Add speakers or raise train.validation_share";
    (bench.say)(Event::Note { message: message.into() });
    Split::Train
}
