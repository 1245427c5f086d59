//! A study's trainings, carried out here one after the other, or over the queue.
//!
//! Always holds: what has ended is not asked for again.

use anyhow::{Result, bail};
use tokio_util::sync::CancellationToken;
use voxage_contract::keys;
use voxage_contract::training::{Event, Request, TrainRequest};
use voxage_coordinator::study::{Part, Study};
use voxage_coordinator::trainings::{self, Standing};
use voxage_transport::{Store, StoreExt as _};

use crate::progress::Progress;
use crate::settings::Settings;
use crate::{ends, train};

/// Sees to it that every training of a study has ended.
pub async fn carry_out(
    store: &dyn Store,
    settings: &Settings,
    study: &Study,
    stop: &CancellationToken,
) -> Result<()> {
    let parts = study.parts();
    let mut missing = Vec::new();
    for part in &parts {
        if !store.exists(&keys::run(&part.request.run_id(), "result.json")).await? {
            missing.push(part);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let (before, total) = ((parts.len() - missing.len()) as u64, parts.len() as u64);
    let mut progress = Progress::resumed("study", before);
    if settings.queue.is_empty() {
        for (done, part) in (before..).zip(missing) {
            one(settings, &name(study, part), part, stop, |message| {
                progress.set(done, total, message);
            })
            .await?;
        }
    } else {
        tokio::select! {
            followed = follow(store, settings, &missing, |done| {
                progress.set(before + done, total, "trainings by `voxage trainer`");
            }) => followed?,
            () = stop.cancelled() => bail!("stopped: the trainings go on without this command"),
        }
    }
    progress.finish(&format!("{total} trainings, {} of them now", total - before));
    Ok(())
}

fn name(study: &Study, part: &Part) -> String {
    let way = part.seed.map_or("ridge".to_owned(), |seed| format!("seed {seed}"));
    format!("{way}, fold {} of {}", part.fold + 1, study.folds.len())
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
) -> Result<()> {
    let amqp = settings.amqp().await?;
    let queue = ends::trainings(&amqp).await?;
    let mut open = Vec::new();
    for part in parts {
        open.push(trainings::ask(store, &queue, &part.request).await?);
    }
    amqp.close().await;
    loop {
        let mut left = Vec::new();
        for training in open {
            match trainings::standing(store, &training).await? {
                Standing::Open => left.push(training),
                Standing::Trained(_) => {}
                Standing::Failed(why) => bail!("run {} failed: {why}", training.run),
            }
        }
        if left.is_empty() {
            return Ok(());
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
