//! `voxage train`: fits a model to the newest sealed version of a data set.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgAction, Command};
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use voxage_contract::digest::Digest;
use voxage_contract::training::{
    Access, Event, Request, TrainRequest, TrainSettings, Trained, Upkeep,
};
use voxage_contract::{Name, Training, keys};
use voxage_coordinator::register::datasets;
use voxage_coordinator::trainings::{self, Standing};
use voxage_coordinator::{registry, runs, seal};
use voxage_transport::{Store, StoreExt as _};

use crate::progress::Progress;
use crate::settings::{Keys, Settings};
use crate::trainer::Trainer;
use crate::{Call, ends, page, report};

pub const KEYS: Keys = &[
    "root",
    "s3",
    "cache",
    "dataset",
    "model",
    "queue",
    "queue_name",
    "queue_ca",
    "train",
    "upkeep",
];

/// Between two looks at a training that others carry out.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

pub fn command() -> Command {
    Command::new("train")
        .about("Fit a model to the newest sealed version of a data set")
        .after_help(
            "The same data and settings are the same run: it is not trained twice, and one that \
             was cut off, in whatever way, goes on from its last checkpoint as if nothing had \
             happened. With --queue, a `voxage trainer` does it.",
        )
        .arg(
            Arg::new("wait")
                .long("wait")
                .action(ArgAction::SetTrue)
                .help("With --queue: follow it to its end"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let store = settings.existing_store().await?;
    let model = settings.model.parse()?;
    let request = TrainRequest {
        root: settings.root.clone(),
        access: settings.access(),
        upkeep: settings.upkeep.clone(),
        patient: true,
        fold: None,
        manifest: newest(&*store, settings).await?,
        against: registry::champion_key(&*store, &model).await?,
        start: None,
        blend: Vec::new(),
        model,
        settings: with_checkpoint(&*store, &settings.train).await?,
    };
    let trained = if settings.queue.is_empty() {
        trained(&*store, &Request::Train(Box::new(request)), &call.stop).await?
    } else {
        let training = asked(&*store, settings, &request).await?;
        if !call.matches.get_flag("wait") {
            let answer = json!({ "run": training.run, "ask": training.ask });
            call.output.answer(&answer, || {
                format!(
                    "run {}: `voxage runs show {}` tells how it goes",
                    training.run, training.run
                )
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        tokio::select! {
            trained = followed(&*store, &training) => trained?,
            () = call.stop.cancelled() => bail!("run {} goes on without this command", training.run),
        }
    };
    call.output.answer(&trained, || {
        let evaluation = report::evaluation(&trained.evaluation);
        format!(
            "model {}\n{evaluation}\npredictions in {}/{}",
            trained.model, settings.root, trained.predictions
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The settings of a training, for which the published checkpoint that it starts from is put
/// into the store: whoever trains finds it there.
pub async fn with_checkpoint(store: &dyn Store, settings: &TrainSettings) -> Result<TrainSettings> {
    let mut settings = settings.clone();
    if !settings.pretrained.is_empty() {
        let file = PathBuf::from(&settings.pretrained);
        let name = Name::nearest(&file.file_stem().unwrap_or_default().to_string_lossy());
        let read = move || {
            let bytes = std::fs::read(&file)
                .with_context(|| format!("setting train.pretrained: {}", file.display()))?;
            if !is_safetensors(&bytes) {
                bail!(
                    "setting train.pretrained: {} is no file of safetensors: name a published \
                     checkpoint in that format",
                    file.display()
                );
            }
            Ok::<_, anyhow::Error>((Digest::new("pretrained").part(&bytes).hex(), bytes))
        };
        let (digest, bytes) = spawn_blocking(read).await??;
        settings.pretrained = keys::pretrained(&digest, &name);
        if !store.exists(&settings.pretrained).await? {
            store.put_new(&settings.pretrained, bytes.into()).await?;
        }
    }
    Ok(settings)
}

/// Whether bytes begin as safetensors do: the length of a JSON object, and that object.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    let header = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|n| rest.get(..n));
    header.is_some_and(|header| serde_json::from_slice::<serde_json::Map<_, _>>(header).is_ok())
}

/// Asks for a training over the queue.
async fn asked(store: &dyn Store, settings: &Settings, request: &TrainRequest) -> Result<Training> {
    // How this process reaches the store is nobody else's business.
    let request = TrainRequest {
        root: String::new(),
        access: Access::default(),
        upkeep: Upkeep::default(),
        ..request.clone()
    };
    let amqp = settings.amqp().await?;
    let training = trainings::ask(store, &ends::trainings(&amqp).await?, &request).await?;
    amqp.close().await;
    Ok(training)
}

/// Follows a training that others carry out to its end.
async fn followed(store: &dyn Store, training: &Training) -> Result<Trained> {
    let mut progress = Progress::new("train", 0);
    loop {
        match trainings::standing(store, training).await? {
            Standing::Trained(trained) => {
                progress.finish(&how(&trained));
                return Ok(*trained);
            }
            Standing::Failed(why) => bail!("run {} failed: {why}", training.run),
            Standing::Open => {}
        }
        let line = runs::metrics(store, &training.run).await?.pop();
        let message = match line {
            Some(line) => {
                let loss = line.loss.map_or("–".to_owned(), |loss| format!("{loss:.4}"));
                format!("epoch {}, loss {loss}, {:.0} samples/s", line.epoch, line.samples_per_s)
            }
            None => "waits for a trainer (start `voxage trainer`)".into(),
        };
        progress.set(line.map_or(0, |line| line.step), 0, &message);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Has a model trained, and puts its report beside it; a stop makes it leave a checkpoint and
/// end.
pub async fn trained(
    store: &dyn Store,
    request: &Request,
    stop: &CancellationToken,
) -> Result<Trained> {
    let mut progress = Progress::new("train", 0);
    let trained = carried_out(request, stop, |event| match event {
        Event::Progress { done, total, message } => progress.set(done, total, &message),
        Event::Note { message } | Event::Warning { message } => progress.note(&message),
        _ => {}
    });
    let trained = trained.await?;
    progress.finish(&how(&trained));
    page::beside(store, &trained.model).await;
    Ok(trained)
}

/// What a training took.
fn how(trained: &Trained) -> String {
    match trained.epochs {
        // Neither a process nor a blend is trained step by step.
        0 => "at once".into(),
        epochs => format!("{epochs} epochs, the best was {}", trained.best_epoch),
    }
}

/// The same for whoever wants to say how it goes.
pub async fn carried_out(
    request: &Request,
    stop: &CancellationToken,
    mut hear: impl FnMut(Event),
) -> Result<Trained> {
    let trainer = Trainer::start(request).await?;
    let end = trainer.finish(std::iter::empty(), stop, |event| {
        hear(event);
        Ok(())
    });
    match end.await? {
        Event::Trained(trained) => Ok(trained),
        Event::Interrupted { run, step: 0 } => {
            bail!("stopped: run {run} begins anew when this is run again")
        }
        Event::Interrupted { run, step } => {
            bail!("stopped: run {run} goes on from step {step} when this is run again")
        }
        Event::Busy { run, holder } => bail!("stopped: run {run} is being trained by {holder}"),
        other => bail!("the trainer answered {other:?}"),
    }
}

/// The newest sealed manifest of the data set that is named, or of the only one.
pub async fn newest(store: &dyn Store, settings: &Settings) -> Result<String> {
    let dataset = match settings.named_dataset()? {
        Some(dataset) => dataset,
        None => only(store, &settings.root).await?,
    };
    match seal::newest_key(store, &dataset).await? {
        Some(key) => Ok(key),
        None => bail!(
            "{} has no sealed version of a data set '{dataset}': `voxage status` lists the data \
             sets, `voxage run` makes and finishes them",
            settings.root
        ),
    }
}

async fn only(store: &dyn Store, root: &str) -> Result<Name> {
    let mut names = datasets(store).await?;
    match (names.pop_last(), names.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => {
            bail!("{root} has no data set: start with `voxage run MANIFEST --root {root}`")
        }
        (Some(last), false) => {
            let names: Vec<_> = names.iter().chain([&last]).map(Name::as_str).collect();
            bail!("{root} has several data sets, choose one with --dataset: {}", names.join(", "))
        }
    }
}
