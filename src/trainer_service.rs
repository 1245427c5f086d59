//! `voxage trainer`: takes trainings from the queue and has them done, until it is stopped.
//!
//! Always holds: nothing is held unsettled while it is trained. A training's message goes
//! back into the queue, to come again later, before the work begins; so it outlives this
//! process, however long the training takes. The run's lease says who is at it.

use std::collections::HashMap;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Command;
use futures::StreamExt as _;
use metrics::{counter, gauge};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info, info_span, warn};
use voxage_contract::training::{Event, Metric, Request, TrainRequest};
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{Kind, Training};
use voxage_coordinator::trainings::{Standing, fail, request, standing};
use voxage_transport::{AmqpQueue, Delivery, Queue as _, Store, trace};

use crate::settings::{Keys, Settings};
use crate::trainer::{self, Failed, Trainer};
use crate::{Call, ends, observe, page};

pub const KEYS: Keys = &[
    "root",
    "queue",
    "queue_name",
    "queue_ca",
    "s3",
    "cache",
    "upkeep",
    "log_format",
    "metrics_listen",
];

/// So many deaths of a run's process are its own fault.
const DEATHS: u32 = 5;

/// Between two words about how a training goes.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// After this long a training's message comes again, to see whether it is still at work.
const AGAIN: Duration = Duration::from_secs(30);

pub fn command() -> Command {
    Command::new("trainer")
        .about("Train models for whoever asks with `voxage train --queue`; run several if you like")
        .after_help(
            "One training at a time. SIGTERM: the training leaves a checkpoint, and another \
             trainer goes on from it.",
        )
}

/// A trainer of models, in the service of a queue.
struct Service {
    settings: Settings,
    store: Arc<dyn Store>,
    queue: AmqpQueue,
    /// The run that it is at.
    at: Mutex<Option<String>>,
    /// How often the process of a run died here.
    deaths: Mutex<HashMap<String, u32>>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = call.resolved.settings.clone();
    trainer::find()?;
    let amqp = settings.amqp().await?;
    let service = Service {
        store: settings.store().await?,
        queue: ends::trainings(&amqp).await?,
        at: Mutex::default(),
        deaths: Mutex::default(),
        settings,
    };
    observe::start(&service.settings, "trainer", &service.store, &amqp).await?;
    let process = ends::process("trainer");
    info!(process, "trainer ready");
    tokio::select! {
        ended = service.work(&call.stop) => ended?,
        () = ends::beats(&amqp, "trainer", &process, |beat| {
            beat.shards = lock(&service.at).iter().cloned().collect();
        }) => {}
    }
    info!("trainer stopped");
    amqp.close().await;
    Ok(ExitCode::SUCCESS)
}

impl Service {
    async fn work(&self, stop: &CancellationToken) -> Result<()> {
        loop {
            // Consumed anew for each: a consumer would be sent the next one, and hold it.
            let mut deliveries = self.queue.consume(1).await?;
            let delivery = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                delivery = deliveries.next() => match delivery {
                    Some(delivery) => delivery?,
                    None => return Ok(()),
                },
            };
            let parent = delivery.parent().map(str::to_owned);
            let Some((training, request)) = self.taken(delivery).await? else { continue };
            drop(deliveries);
            let span = info_span!("training", run = training.run, ask = training.ask);
            trace::follow(&span, parent.as_deref());
            *lock(&self.at) = Some(training.run.clone());
            let carried_out = self.carry_out(&training, request, stop).instrument(span).await;
            *lock(&self.at) = None;
            carried_out?;
        }
    }

    /// Settles a delivery; gives the training if there is something to do about it.
    async fn taken(&self, delivery: Box<dyn Delivery>) -> Result<Option<(Training, TrainRequest)>> {
        let training = match Training::decode(&**delivery.payload()) {
            Ok(training) if training.version <= WIRE_VERSION => training,
            Ok(newer) => {
                warn!(
                    version = newer.version,
                    "a newer voxage asks for a training: upgrade this one"
                );
                delivery.retry(AGAIN).await?;
                tokio::time::sleep(AGAIN / 6).await;
                return Ok(None);
            }
            Err(error) => {
                warn!(%error, "a message that is no training is put aside");
                delivery.dead_letter(&format!("it is no training: {error}")).await?;
                return Ok(None);
            }
        };
        let looked = async {
            Ok(match standing(&*self.store, &training).await? {
                Standing::Open => Some(request(&*self.store, &training).await?),
                // The store says how, and why.
                Standing::Trained(_) | Standing::Failed(_) => None,
            })
        };
        match looked.await {
            Ok(Some(request)) => {
                delivery.retry(AGAIN).await?;
                return Ok(Some((training, request)));
            }
            Ok(None) => delivery.ack().await?,
            Err(error) if voxage_coordinator::Error::kind(&error) == Kind::Transient => {
                warn!(%error, "no look at a training: it comes again");
                delivery.retry(AGAIN).await?;
            }
            Err(error) => {
                warn!(%error, "a training is put aside");
                delivery.dead_letter(&error.to_string()).await?;
            }
        }
        Ok(None)
    }

    /// Trains, or sees that another does.
    async fn carry_out(
        &self,
        training: &Training,
        request: TrainRequest,
        stop: &CancellationToken,
    ) -> Result<()> {
        let request = Request::Train(Box::new(TrainRequest {
            root: self.settings.root.clone(),
            access: self.settings.access(),
            upkeep: self.settings.upkeep.clone(),
            patient: false,
            ..request
        }));
        let trainer = Trainer::start(&request).await?;
        gauge!("voxage_training_at_work").set(1.0);
        // Of the one before nothing is true any more.
        count(&Metric {
            loss: Some(0.0),
            stopping_rmse: Some(0.0),
            loader_wait: Some(0.0),
            ..Metric::default()
        });
        goes_on();
        let mut said: Option<Instant> = None;
        let stop_this = stop.child_token();
        let end = trainer.finish(std::iter::empty(), &stop_this, |event| {
            goes_on();
            match event {
                Event::Progress { message, .. }
                    if said.is_none_or(|said| said.elapsed() > SAY_EVERY) =>
                {
                    said = Some(Instant::now());
                    info!("{message}");
                }
                Event::Measured(metric) => count(&metric),
                Event::Note { message } => info!("{message}"),
                Event::Warning { message } => warn!("{message}"),
                _ => {}
            }
            Ok(())
        });
        let mut end = pin!(end);
        let end = loop {
            tokio::select! {
                end = &mut end => break end,
                // Its schedule may be removed meanwhile.
                () = tokio::time::sleep(AGAIN) => {
                    let standing = standing(&*self.store, training).await;
                    if let Ok(Standing::Failed(why)) = standing {
                        info!(why, "it is not wanted any more");
                        stop_this.cancel();
                    }
                }
            }
        };
        gauge!("voxage_training_at_work").set(0.0);
        match end {
            Ok(Event::Trained(trained)) => {
                ended_as("trained");
                info!(model = trained.model, "trained");
                if !trained.model.is_empty() {
                    page::beside(&*self.store, &trained.model).await;
                }
            }
            Ok(Event::Busy { holder, .. }) => {
                ended_as("busy");
                info!(holder, "another is at it");
            }
            Ok(Event::Interrupted { .. }) if !stop.is_cancelled() => ended_as("withdrawn"),
            Ok(Event::Interrupted { step, .. }) => {
                ended_as("handed-over");
                info!(step, "handed over");
                self.queue.publish(training.encode_to_vec().into()).await?;
            }
            Ok(other) => warn!(?other, "an answer that was not expected"),
            // It comes again, and goes on from its checkpoint.
            Err(error) if self.may_succeed(training, &error) => {
                ended_as("retried");
                warn!(%error, "will be tried again");
            }
            Err(error) => {
                ended_as("failed");
                warn!(%error, "failed");
                // Asked for again, it fails again.
                if let Err(error) = fail(&*self.store, training, &format!("{error:#}")).await {
                    warn!(%error, "that it failed is not written down");
                }
            }
        }
        Ok(())
    }

    /// Whether a failure was of the world, not of what was asked for. A process that died
    /// without a word may have been killed, but not again and again.
    fn may_succeed(&self, training: &Training, error: &anyhow::Error) -> bool {
        if let Some(failed) = error.downcast_ref::<Failed>() {
            return failed.transient;
        }
        let mut deaths = lock(&self.deaths);
        let count = deaths.entry(training.run.clone()).or_default();
        *count += 1;
        *count < DEATHS
    }
}

fn ended_as(outcome: &'static str) {
    counter!("voxage_trainings_total", "outcome" => outcome).increment(1);
}

/// Shows what some steps came to.
fn count(metric: &Metric) {
    gauge!("voxage_training_step").set(metric.step as f64);
    gauge!("voxage_training_epoch").set(metric.epoch as f64);
    gauge!("voxage_training_loss").set(metric.loss.unwrap_or(f64::NAN));
    gauge!("voxage_training_samples_per_second").set(metric.samples_per_s);
    if let Some(ratio) = metric.loader_wait {
        gauge!("voxage_training_loader_wait_ratio").set(ratio);
    }
    if let Some(rmse) = metric.stopping_rmse {
        gauge!("voxage_training_validation_rmse_years").set(rmse);
    }
}

fn goes_on() {
    gauge!("voxage_training_progress_timestamp_seconds").set(ends::now().0 as f64);
}
