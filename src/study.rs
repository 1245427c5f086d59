//! A study's trainings, carried out here one after the other, or over the queue.
//!
//! Always holds: what has ended is not asked for again.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use tokio_util::sync::CancellationToken;
use voxage_contract::keys;
use voxage_contract::training::{Event, Request, TrainRequest};
use voxage_coordinator::study::{Part, Study};
use voxage_coordinator::trainings::{self, Standing};
use voxage_transport::{Store, StoreExt as _};

use crate::progress::Progress;
use crate::settings::Settings;
use crate::trainer::Failed;
use crate::{ends, train};

/// Sees to it that every training of a study has ended.
pub async fn carry_out(
    store: &dyn Store,
    settings: &Settings,
    study: &Study,
    stop: &CancellationToken,
) -> Result<()> {
    let name = |part: &Part| {
        let way = part.seed.map_or("ridge".to_owned(), |seed| format!("seed {seed}"));
        format!("{way}, fold {} of {}", part.fold + 1, study.folds.len())
    };
    let failed = trainings("study", store, settings, &study.parts(), name, stop).await?;
    match failed.first_key_value() {
        Some((run, why)) => bail!("run {run} failed: {why}"),
        None => Ok(()),
    }
}

/// Has trainings carried out, unless they have ended; gives those that cannot be, with why.
pub async fn trainings(
    stage: &'static str,
    store: &dyn Store,
    settings: &Settings,
    parts: &[Part],
    name: impl Fn(&Part) -> String,
    stop: &CancellationToken,
) -> Result<BTreeMap<String, String>> {
    let mut missing = Vec::new();
    for part in parts {
        if !store.exists(&keys::run(&part.request.run_id(), "result.json")).await? {
            missing.push(part);
        }
    }
    if missing.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (before, total) = ((parts.len() - missing.len()) as u64, parts.len() as u64);
    let mut progress = Progress::resumed(stage, before);
    let failed = if settings.queue.is_empty() {
        let mut failed = BTreeMap::new();
        for (done, part) in (before..).zip(missing) {
            let name = name(part);
            let say = |message: &str| progress.set(done, total, message);
            match one(settings, &name, part, stop, say).await.map_err(anyhow::Error::downcast) {
                Ok(()) => {}
                Err(Ok(Failed { message, transient: false })) => {
                    failed.insert(part.request.run_id(), message);
                }
                Err(Ok(failed)) => return Err(failed.into()),
                Err(Err(error)) => return Err(error),
            }
        }
        failed
    } else {
        tokio::select! {
            failed = follow(store, settings, &missing, |done| {
                progress.set(before + done, total, "trainings by `voxage trainer`");
            }) => failed?,
            () = stop.cancelled() => bail!("stopped: the trainings go on without this command"),
        }
    };
    progress.finish(&format!("{total} trainings, {} of them now", total - before));
    Ok(failed)
}

async fn one(
    settings: &Settings,
    name: &str,
    part: &Part,
    stop: &CancellationToken,
    mut say: impl FnMut(&str),
) -> Result<()> {
    let request = Request::Train(Box::new(TrainRequest {
        root: settings.root.clone(),
        access: settings.access(),
        upkeep: settings.upkeep.clone(),
        ..part.request.clone()
    }));
    say(name);
    let hear = |event| {
        if let Event::Progress { message, .. } | Event::Note { message } = event {
            say(&format!("{name}: {message}"));
        }
    };
    train::carried_out(&request, stop, hear).await?;
    Ok(())
}

/// Asks for trainings over the queue and waits for all of them.
async fn follow(
    store: &dyn Store,
    settings: &Settings,
    parts: &[&Part],
    mut say: impl FnMut(u64),
) -> Result<BTreeMap<String, String>> {
    let amqp = settings.amqp().await?;
    let queue = ends::trainings(&amqp).await?;
    let mut open = Vec::new();
    for part in parts {
        open.push(trainings::ask(store, &queue, &part.request).await?);
    }
    amqp.close().await;
    let mut failed = BTreeMap::new();
    loop {
        let mut left = Vec::new();
        for training in open {
            match trainings::standing(store, &training).await? {
                Standing::Open => left.push(training),
                Standing::Trained(_) => {}
                Standing::Failed(why) => drop(failed.insert(training.run, why)),
            }
        }
        if left.is_empty() {
            return Ok(failed);
        }
        say((parts.len() - left.len()) as u64);
        open = left;
        tokio::time::sleep(train::LOOK_EVERY).await;
    }
}

/// Every prediction of a study as CSV, seed by seed, in the order of the data set.
pub async fn table(store: &dyn Store, study: &Study) -> Result<Vec<u8>> {
    let (seeds, _) = study.guesses(store).await?;
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "id",
        "seed",
        "fold",
        "age",
        "predicted",
        "low",
        "high",
        "gender",
        "speaker",
    ])?;
    for (seed, guesses) in (study.request.settings.seed..).zip(&seeds) {
        for (case, guess) in study.cases.iter().zip(guesses) {
            let [low, high] = guess
                .interval
                .map_or([String::new(), String::new()], |ends| ends.map(|end| end.to_string()));
            table.write_record([
                &case.recording.id,
                &seed.to_string(),
                &case.fold.map_or(0, |fold| fold + 1).to_string(),
                &case.age.to_string(),
                &guess.age.to_string(),
                &low,
                &high,
                case.recording.gender().text().unwrap_or_default(),
                &case.recording.speaker,
            ])?;
        }
    }
    Ok(table.into_inner()?)
}
