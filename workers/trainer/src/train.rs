//! Training requests, from the store and back into it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use voxage_contract::scores::scores;
use voxage_contract::training::{Architecture, Event, Ridge, TrainRequest, TrainSettings, Trained};
use voxage_contract::{Kind, Split, keys, spec::EXTRACTOR_VERSION};
use voxage_dataset::Dataset;
use voxage_transport::{Store, StoreExt as _};

use crate::blend::{Blend, Member};
use crate::conformal::Conformal;
use crate::device;
use crate::estimator::{Estimate, Estimates, Estimator};
use crate::evaluate::{age, evaluate, predicted};
use crate::fit::{self, Bench};
use crate::gp::AgeProcess;
use crate::measure::{earlier, leave_out, measure, measure_other, open};
use crate::models::{Card, Models};
use crate::panics::caught;
use crate::run::Run;
use crate::scaler::Scaler;
use crate::session::{Position, Session, Training};
use crate::trees::AgeTrees;
use crate::{Error, Result, store};

/// Between two looks at a run that another process is at.
const AGAIN: Duration = Duration::from_secs(1);

/// How a training ended.
#[derive(Debug)]
pub enum End {
    /// It has a model.
    Trained(Box<Trained>),
    /// It was asked to stop after so many steps, and goes on from there when asked again.
    Interrupted {
        /// The run.
        run: String,
        /// Steps.
        step: u64,
    },
}

/// Fits a model to a sealed manifest, unless that very run has ended before; goes on where
/// another process has left it.
///
/// # Errors
/// If there is nothing to learn from, another process is at it, or the store fails.
pub fn train(
    request: &TrainRequest,
    runtime: &Handle,
    stop: &Arc<AtomicBool>,
    say: &mut dyn FnMut(Event),
) -> Result<End> {
    let store = runtime.block_on(store::open(&request.root, &request.access))?;
    let id = request.run_id();
    if let Some(trained) = ended(&*store, runtime, &id)? {
        say(Event::Note { message: format!("run {id} has ended before: its model is used") });
        measure_other(request, &*store, runtime, say)?;
        return Ok(End::Trained(Box::new(trained)));
    }
    // What can never be is no run.
    request.settings.check().map_err(Error::Setting)?;
    if request.settings.architecture.is_network() && request.blend.is_empty() {
        device::resolve(request.settings.device)?;
    }
    put_json(&*store, runtime, &keys::run(&id, "request.json"), request)?;
    let mut told = false;
    let mut run = loop {
        match Run::begin(&id, &store, runtime, &request.upkeep) {
            Err(Error::Busy { holder, .. }) if request.patient && !stop.load(Ordering::Relaxed) => {
                if !std::mem::replace(&mut told, true) {
                    let message = format!("run {id} is being trained by {holder}: waiting for it");
                    say(Event::Note { message });
                }
                std::thread::sleep(AGAIN);
            }
            begun => break begun?,
        }
    };
    let end = caught(|| carry_out(request, &store, runtime, &mut run, stop, say));
    let why = end.as_ref().err().filter(|error| error.kind() == Kind::Permanent);
    let left = run.end(why.map(ToString::to_string).unwrap_or_default());
    let end = match end {
        Err(Error::Dataset(voxage_dataset::Error::Stopped)) => {
            End::Interrupted { run: id, step: 0 }
        }
        end => end?,
    };
    left?;
    Ok(end)
}

/// The result of a run that has ended.
fn ended(store: &dyn Store, runtime: &Handle, run: &str) -> Result<Option<Trained>> {
    let key = keys::run(run, "result.json");
    let bytes = runtime.block_on(store.get_opt(&key))?;
    let parse = |bytes: bytes::Bytes| serde_json::from_slice(&bytes);
    bytes.map(parse).transpose().map_err(|error| Error::damaged(&key, error))
}

fn carry_out(
    request: &TrainRequest,
    store: &Arc<dyn Store>,
    runtime: &Handle,
    run: &mut Run,
    stop: &Arc<AtomicBool>,
    say: &mut dyn FnMut(Event),
) -> Result<End> {
    let id = request.run_id();
    // Another may have ended it before this one had the lease.
    if let Some(trained) = ended(&**store, runtime, &id)? {
        return Ok(End::Trained(Box::new(trained)));
    }
    let (settings, upkeep) = (&request.settings, &request.upkeep);
    if let Some(message) = settings.without_effect().filter(|_| request.blend.is_empty()) {
        say(Event::Warning { message });
    }
    tch::set_num_threads(settings.threads as i32);
    let place = (&*request.root, &request.access);
    let fold = request.fold.clone();
    let mut dataset = open(store, runtime, place, &request.manifest, settings, fold)?;
    // A network stops between steps, where it leaves a checkpoint.
    if !settings.architecture.is_network() {
        dataset = dataset.until(stop);
    }
    let fitted = if !request.blend.is_empty() {
        let models = Models { store: &**store, runtime };
        let members = request.blend.iter().map(|part| models.card(&part.version));
        let members = members.collect::<Result<Vec<_>>>()?;
        let at = (store, runtime, place);
        leave_out(&mut dataset, &request.manifest, members.iter(), at, say)?;
        Fitted::blend(request, &**store, runtime)?
    } else if settings.architecture == Architecture::Trees {
        Fitted::trees(&dataset, settings, upkeep.loader_threads)?
    } else if settings.architecture.is_process() {
        say(Event::Note {
            message: format!(
                "fits {} to {} recordings",
                if settings.architecture == Architecture::Ridge {
                    "a ridge"
                } else {
                    "a Gaussian process"
                },
                dataset.len(Split::Train)
            ),
        });
        Fitted::process(&dataset, settings, upkeep.loader_threads)?
    } else {
        let unpack = |key: &str, bytes: &[u8]| Session::unpack(settings, key, bytes);
        let newest = run.newest(unpack, |message| say(Event::Note { message }))?;
        let mut session = match newest {
            Some(session) => {
                let message = format!("run {id} goes on from step {}", session.position.step);
                say(Event::Note { message });
                session
            }
            None => first(request, &dataset, store, runtime, say)?,
        };
        let mut bench = Bench { dataset: &dataset, run, upkeep, stop, say };
        if !fit::fit(&mut session, &mut bench)? {
            return Ok(End::Interrupted { run: id, step: session.position.step });
        }
        Fitted::network(&dataset, session, upkeep.loader_threads)?
    };
    run.finish_writing()?;
    measure_other(request, &**store, runtime, say)?;
    Ok(End::Trained(Box::new(conclude(request, store, runtime, &dataset, fitted)?)))
}

/// A training before its first step: from chance, a published checkpoint, or a model version.
fn first(
    request: &TrainRequest,
    dataset: &Dataset,
    store: &Arc<dyn Store>,
    runtime: &Handle,
    say: &mut dyn FnMut(Event),
) -> Result<Session> {
    let TrainRequest { settings, upkeep, start, .. } = request;
    let mut session = fit::start(dataset, settings, upkeep.loader_threads)?;
    if !settings.pretrained.is_empty() {
        let key = &settings.pretrained;
        session.start_from(key, &runtime.block_on(store.get(key))?)?;
    }
    if let Some(start) = start {
        let (card, estimator) = Models { store: &**store, runtime }.load(start)?;
        // Else it may know the speakers that stop, calibrate or test this one.
        let held_out =
            |of: &TrainSettings| (of.test_share, of.validation_share, of.validation_turn);
        let knows = || -> Result<bool> {
            let at = (store, runtime, (&*request.root, &request.access));
            Ok(match earlier(dataset, &request.manifest, &card, at)? {
                Some(earlier) => dataset.has_known(&earlier)?,
                None => false,
            })
        };
        let how = if held_out(&card.settings) != held_out(settings) {
            "holds other speakers out: starts from chance"
        } else if knows()? {
            "has learned from speakers that are held out now: starts from chance"
        } else if matches!(&estimator, Estimator::Network(other) if session.start_like(other)) {
            "starts from its weights"
        } else {
            "is of another kind or size: starts from chance"
        };
        say(Event::Note { message: format!("{start} {how}") });
    }
    Ok(session)
}

/// Calibrates, measures and saves what a training came to.
fn conclude(
    request: &TrainRequest,
    store: &Arc<dyn Store>,
    runtime: &Handle,
    dataset: &Dataset,
    fitted: Fitted,
) -> Result<Trained> {
    let run = request.run_id();
    let (settings, threads) = (&request.settings, request.upkeep.loader_threads);
    let Fitted { estimator, conformal, validation_rmse, training, position, scaler, members } =
        fitted;
    let (mean_age, ridge) = match ridge(request, (&**store, runtime), dataset)? {
        Some((mean_age, ridge)) => (mean_age, Some(ridge)),
        None => (training.mean_age, None),
    };
    let measured = (dataset, &estimator as &dyn Estimates, conformal.as_ref(), threads);
    let (mut evaluation, predictions) =
        measure(measured, mean_age, (&**store, runtime), &run, &request.manifest)?;
    evaluation.ridge = ridge;
    let (format, voxage) = Card::this_format();
    let manifest = dataset.manifest();
    let (best_epoch, epochs) = (position.best_epoch, position.epochs.len() as u64);
    let card = Card {
        format,
        voxage,
        run: run.clone(),
        manifest: request.manifest.clone(),
        spec: manifest.spec.clone(),
        spec_id: manifest.spec_id.clone(),
        extractor_version: EXTRACTOR_VERSION,
        settings: settings.clone(),
        members,
        training,
        scaler,
        conformal,
        best_epoch,
        evaluation: evaluation.clone(),
        epochs: position.epochs,
    };
    let model = match request.fold {
        None => Models { store: &**store, runtime }.save(&request.model, &card, &estimator)?,
        Some(_) => String::new(),
    };
    let trained = Trained {
        run: run.clone(),
        model,
        epochs,
        best_epoch,
        validation_rmse,
        evaluation,
        predictions,
    };
    put_json(&**store, runtime, &keys::run(&run, "result.json"), &trained)?;
    Ok(trained)
}

/// What a model must beat to be worth its while: the mean age of all who are not tested, and a
/// ridge that learns from them. None if the model is one itself, or a part of a study, which has
/// its own.
fn ridge(
    request: &TrainRequest,
    (store, runtime): (&dyn Store, &Handle),
    dataset: &Dataset,
) -> Result<Option<(f64, Ridge)>> {
    let (settings, threads) = (request.settings.ridge_beside(), request.upkeep.loader_threads);
    if request.fold.is_some() || request.settings.architecture == settings.architecture {
        return Ok(None);
    }
    let Fitted { estimator, training, .. } = Fitted::process(dataset, &settings, threads)?;
    let (measured, table) = evaluate(dataset, (&estimator, None), training.mean_age, threads)?;
    let predictions = keys::ridge(&request.run_id());
    runtime.block_on(store.put_new(&predictions, table.into()))?;
    Ok(Some((training.mean_age, Ridge { scores: measured.test.all, predictions })))
}

/// What a fit came to.
struct Fitted {
    estimator: Estimator,
    conformal: Option<Conformal>,
    validation_rmse: Option<f64>,
    training: Training,
    position: Position,
    scaler: Option<Scaler>,
    members: Vec<Member>,
}

/// What the validation split, by an estimator that had not seen it, says of that: the
/// calibration of intervals, and the RMSE.
fn held_out(coverage: f64, seen: &[(f64, Estimate)]) -> (Option<Conformal>, Option<f64>) {
    let pairs: Vec<_> = seen.iter().map(|(age, estimate)| (*age, estimate.age)).collect();
    (Conformal::fit(coverage, seen), scores(&pairs).rmse)
}

impl Fitted {
    fn network(dataset: &Dataset, session: Session, threads: usize) -> Result<Self> {
        let (training, position) = (session.training.clone(), session.position.clone());
        let network = session.into_best();
        let predicted = predicted(dataset, &network, Split::Validation, threads, age)?;
        let (conformal, validation_rmse) = held_out(network.settings.coverage, &predicted);
        let scaler = Some(network.inputs.scaler.clone());
        let estimator = Estimator::Network(Box::new(network));
        let members = Vec::new();
        Ok(Self { estimator, conformal, validation_rmse, training, position, scaler, members })
    }

    /// A process is not stopped by the validation split: once calibrated on it, it learns
    /// from it too.
    fn process(dataset: &Dataset, settings: &TrainSettings, threads: usize) -> Result<Self> {
        let fit = |splits: &[Split], parameters| {
            AgeProcess::fit(dataset, settings, splits, parameters, threads)
        };
        let (mut process, mut training) = fit(&[Split::Train], None)?;
        let predicted = predicted(dataset, &process, Split::Validation, threads, age)?;
        if !predicted.is_empty() {
            let both = [Split::Train, Split::Validation];
            (process, training) = fit(&both, Some(process.parameters()))?;
        }
        let (conformal, validation_rmse) = held_out(settings.coverage, &predicted);
        let (position, scaler, members) = (Position::default(), None, Vec::new());
        let estimator = Estimator::Process(process);
        Ok(Self { estimator, conformal, validation_rmse, training, position, scaler, members })
    }

    /// Trees, like a process, learn from the validation split once calibrated on it.
    fn trees(dataset: &Dataset, settings: &TrainSettings, threads: usize) -> Result<Self> {
        let fit = |splits: &[Split]| AgeTrees::fit(dataset, settings, splits, threads);
        let (mut trees, mut training) = fit(&[Split::Train])?;
        let predicted = predicted(dataset, &trees, Split::Validation, threads, age)?;
        if !predicted.is_empty() {
            (trees, training) = fit(&[Split::Train, Split::Validation])?;
        }
        let (conformal, validation_rmse) = held_out(settings.coverage, &predicted);
        let (position, scaler, members) = (Position::default(), None, Vec::new());
        let estimator = Estimator::Trees(trees);
        Ok(Self { estimator, conformal, validation_rmse, training, position, scaler, members })
    }

    /// The members of a blend have learned all there is; what they were calibrated on, some
    /// have learned from since.
    fn blend(request: &TrainRequest, store: &dyn Store, runtime: &Handle) -> Result<Self> {
        let (blend, first, members) = Blend::of(request, store, runtime)?;
        let conformal = blend.conformal(request.settings.coverage);
        let (position, validation_rmse, scaler) = (Position::default(), None, None);
        let (estimator, training) = (Estimator::Blend(blend), first.training);
        Ok(Self { estimator, conformal, validation_rmse, training, position, scaler, members })
    }
}

fn put_json(
    store: &dyn Store,
    runtime: &Handle,
    key: &str,
    value: &impl serde::Serialize,
) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| Error::damaged(key, error))?;
    runtime.block_on(store.put_new(key, bytes.into()))?;
    Ok(())
}
