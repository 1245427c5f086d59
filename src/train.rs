//! `voxage train`: fits a model to the newest sealed version of a data set.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Command;
use voxage_contract::Name;
use voxage_contract::training::{Event, Request, TrainRequest, Trained};
use voxage_coordinator::register::datasets;
use voxage_coordinator::seal;
use voxage_transport::Store;

use crate::progress::Progress;
use crate::settings::{Keys, Settings};
use crate::trainer::Trainer;
use crate::{Call, report};

pub const KEYS: Keys = &["root", "s3", "cache", "dataset", "model", "train"];

pub fn command() -> Command {
    Command::new("train")
        .about("Fit a model to the newest sealed version of a data set")
        .after_help("The same data and settings are the same run: it is not trained twice.")
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let store = settings.existing_store().await?;
    let request = Request::Train(TrainRequest {
        root: settings.root.clone(),
        access: settings.access(),
        manifest: newest(&*store, settings).await?,
        model: settings.model.parse()?,
        settings: settings.train.clone(),
    });
    let trained = trained(&request).await?;
    call.output.answer(&trained, || {
        let evaluation = report::evaluation(&trained.evaluation);
        format!(
            "model {}\n{evaluation}\npredictions in {}/{}",
            trained.model, settings.root, trained.predictions
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Has a model trained.
pub async fn trained(request: &Request) -> Result<Trained> {
    let mut progress = Progress::new("train", 0);
    let trainer = Trainer::start(request).await?;
    let end = trainer.finish(std::iter::empty(), |event| {
        match event {
            Event::Progress { done, total, message } => progress.set(done, total, &message),
            Event::Note { message } => progress.note(&message),
            _ => {}
        }
        Ok(())
    });
    match end.await? {
        Event::Trained(trained) => {
            progress
                .finish(&format!("{} epochs, the best was {}", trained.epochs, trained.best_epoch));
            Ok(trained)
        }
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
            "data set '{dataset}' has no sealed version in {}: finish it with `voxage run`",
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
