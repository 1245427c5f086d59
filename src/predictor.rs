//! `voxage predictor`: predicts shards for whoever asks with `voxage predict --dataset`, until
//! it is stopped.

use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use clap::Command;
use futures::StreamExt as _;
use metrics::counter;
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{Predict, ShardId};
use voxage_transport::{Delivery, Queue as _, Store};

use crate::predicting::Job;
use crate::settings::{Keys, Settings};
use crate::trainer::{self, Failed};
use crate::{Call, ends, observe};

pub const KEYS: Keys =
    &["root", "queue", "queue_name", "queue_ca", "s3", "log_format", "metrics_listen"];

/// Deliveries of a message before it is put aside.
const ATTEMPTS: u32 = 5;

/// Before it is tried again.
const PAUSE: Duration = Duration::from_secs(5);

pub fn command() -> Command {
    Command::new("predictor")
        .about("Predict data sets for whoever asks; run as many as you like, anywhere")
        .after_help("SIGTERM: what is in hand goes back to the queue, and it ends with code 0.")
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    trainer::find()?;
    let store = settings.store().await?;
    let amqp = settings.amqp().await?;
    let mut deliveries = ends::predictions(&amqp).await?.consume(1).await?;
    observe::start(settings, "predictor", &store, &amqp).await?;
    info!("predictor ready");
    let at = Mutex::new(None);
    let work = async {
        loop {
            let delivery = tokio::select! {
                () = call.stop.cancelled() => break,
                delivery = deliveries.next() => match delivery {
                    Some(delivery) => delivery?,
                    None => break,
                },
            };
            settle(settings, &*store, delivery, &call.stop, &at).await?;
        }
        anyhow::Ok(())
    };
    let process = ends::process("predictor");
    tokio::select! {
        ended = work => ended?,
        () = ends::beats(&amqp, "predictor", &process, |beat| {
            beat.shards = lock(&at).iter().cloned().collect();
        }) => {}
    }
    info!("predictor stopped");
    amqp.close().await;
    Ok(ExitCode::SUCCESS)
}

fn count(outcome: &'static str, shards: usize) {
    counter!("voxage_predicted_shards_total", "outcome" => outcome).increment(shards as u64);
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what a message asks for, and settles it.
async fn settle(
    settings: &Settings,
    store: &dyn Store,
    delivery: Box<dyn Delivery>,
    stop: &CancellationToken,
    at: &Mutex<Option<String>>,
) -> Result<()> {
    let message = match Predict::decode(&**delivery.payload()) {
        Ok(message) if message.version <= WIRE_VERSION => message,
        Ok(newer) => {
            warn!(version = newer.version, "a newer voxage asks: upgrade this one");
            return Ok(delivery.retry(PAUSE).await?);
        }
        Err(error) => return Ok(delivery.dead_letter(&format!("no message: {error}")).await?),
    };
    let Predict { model, manifest, shards, .. } = message;
    let shards: Vec<ShardId> = shards.iter().filter_map(|shard| ShardId::parse(shard)).collect();
    let (job, n) = (Job { settings, store, model, manifest }, shards.len());
    *lock(at) = Some(format!("{} with {n} shards", job.model));
    let predicted = job.predict(shards, stop, |_| {}).await;
    *lock(at) = None;
    match predicted {
        Ok(()) => {
            info!(model = job.model, shards = n, "predicted");
            count("done", n);
            delivery.ack().await?;
        }
        Err(_) if stop.is_cancelled() => delivery.retry(Duration::ZERO).await?,
        Err(error) => {
            let lasting = error.downcast_ref::<Failed>().is_some_and(|failed| !failed.transient);
            warn!(%error, "not predicted");
            let dead = lasting || delivery.attempt() >= ATTEMPTS;
            count(if dead { "dead" } else { "retried" }, n);
            if dead {
                delivery.dead_letter(&format!("{error:#}")).await?;
            } else {
                delivery.retry(PAUSE).await?;
            }
        }
    }
    Ok(())
}
