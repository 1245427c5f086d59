//! `voxage predict`: ages of recordings, single ones or a manifest of them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgAction, Command, value_parser};
use serde::Serialize;
use serde_json::json;
use voxage_contract::training::{Event, PredictRequest, Prediction, Request};
use voxage_contract::{Gender, Recording};
use voxage_coordinator::intake::{Entry, Intake};
use voxage_coordinator::{Severity, registry};

use crate::predicting::Job;
use crate::progress::Progress;
use crate::settings::Keys;
use crate::trainer::Trainer;
use crate::{Call, extract, manifest, output, train};

pub const KEYS: Keys =
    &["root", "s3", "audio_root", "model", "slots", "dataset", "queue", "queue_name", "queue_ca"];

/// Codes of problems with what a prediction does not look at.
const LABELS: [&str; 3] = ["bad_age", "age_range", "bad_split"];

pub fn command() -> Command {
    let path = value_parser!(PathBuf);
    Command::new("predict")
        .about("Predict the ages of recordings")
        .after_help(
            "What a recording lacks (a transcript's counts, the gender) is taken from the training \
             rows and named in its warnings. A recording that cannot be predicted keeps its place, \
             without an age. Exit code 1 if none could be predicted.\n\
             With --dataset, the recordings of its newest sealed version are predicted from their \
             features, as Parquet files in --out, a folder or s3://bucket/prefix: one for each \
             shard, with id, path, age, low, high, warnings and model. With --queue too, every \
             `voxage predictor` does some of them.",
        )
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .action(ArgAction::Append)
                .value_parser(path.clone())
                .required_unless_present_any(["manifest", "dataset"])
                .conflicts_with("manifest")
                .help("Audio files"),
        )
        .arg(
            Arg::new("gender")
                .long("gender")
                .value_name("GENDER")
                .conflicts_with("manifest")
                .value_parser(|text: &str| {
                    Gender::parse(text)
                        .ok_or_else(|| format!("'{text}' is neither female nor male"))
                })
                .help("Gender of the speaker of the files: female or male"),
        )
        .arg(
            Arg::new("manifest")
                .long("manifest")
                .value_name("MANIFEST")
                .value_parser(path.clone())
                .help("CSV or Parquet table of recordings: id, path, and what else is known"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(path)
                .help("Write Id,Predicted to this CSV file, in the order of the input"),
        )
}

#[derive(Serialize)]
struct Answer {
    predictions: Vec<Prediction>,
    model: String,
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    if call.matches.contains_id("dataset") {
        return of_dataset(&call).await;
    }
    let out = call.matches.get_one::<PathBuf>("out");
    out.map_or(Ok(()), |out| output::check_place(out))?;
    let (audio_root, recordings, total) = match call.matches.get_one::<PathBuf>("manifest") {
        Some(manifest) => of_manifest(manifest, &call)?,
        None => of_files(&call)?,
    };
    let request = Request::Predict(PredictRequest {
        root: settings.root.clone(),
        access: settings.access(),
        model: settings.model.clone(),
        audio_root,
        slots: settings.slots,
    });
    let mut progress = Progress::new("predict", total);
    let mut predictions = Vec::new();
    let trainer = Trainer::start(&request).await?;
    let end = trainer.finish(recordings, &call.stop, |event| {
        if let Event::Prediction(prediction) = event {
            predictions.push(prediction);
            progress.set(predictions.len() as u64, total, "");
        }
        Ok(())
    });
    let end = end.await?;
    let Event::Predicted { model } = end else { bail!("the trainer answered {end:?}") };
    let failed = predictions.iter().filter(|prediction| prediction.age.is_none()).count();
    progress
        .finish(&format!("{} recordings by {model}, {failed} without an age", predictions.len()));
    if predictions.iter().any(|one| one.age.is_some() && one.interval.is_none()) {
        say!(
            "note: {model} has no intervals: it, or a member of it, had too few validation speakers for them"
        );
    }
    for (prediction, file) in
        predictions.iter_mut().zip(call.matches.get_many::<PathBuf>("files").into_iter().flatten())
    {
        prediction.path = file.display().to_string();
    }
    if let Some(out) = out {
        write(out, &predictions)?;
    }
    let answer = Answer { predictions, model };
    call.output.answer(&answer, || answer.predictions.iter().map(text).collect())?;
    let none = failed == answer.predictions.len();
    Ok(if none { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Predicts a data set from its features.
async fn of_dataset(call: &Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    if call.matches.contains_id("files") || call.matches.contains_id("manifest") {
        misuse!("either --dataset, or files or a --manifest of recordings");
    }
    let out = call.matches.get_one::<PathBuf>("out").and_then(|out| out.to_str());
    let Some(out) = out else {
        misuse!("say with --out where the Parquet files go: a folder, or s3://…")
    };
    let place = |text: &str| match text.starts_with("s3://") {
        true => Ok(PathBuf::from(text)),
        false => std::path::absolute(text),
    };
    if place(out)?.starts_with(place(&settings.root)?) {
        misuse!(
            "--out {out} is within the root, where everything is voxage's: name a place beside it"
        );
    }
    let store = settings.existing_store().await?;
    let manifest = train::newest(&*store, settings).await?;
    let Some(model) = registry::find(&*store, &settings.model).await? else {
        bail!("there is no model '{}': `voxage models list` lists them", settings.model);
    };
    let job = Job { settings, store: &*store, model, manifest };
    let shards = job.carry_out(&call.stop).await?;
    job.copy(&shards, out).await?;
    let answer = json!({
        "model": job.model, "manifest": job.manifest, "out": out, "files": shards.len(),
    });
    call.output.answer(&answer, || {
        format!("{} files in {out}, predicted by {}\n", shards.len(), job.model)
    })?;
    Ok(ExitCode::SUCCESS)
}

type Source = (String, Box<dyn Iterator<Item = Result<Recording>>>, u64);

/// The recordings of a manifest that names every one of them.
fn of_manifest(path: &Path, call: &Call) -> Result<Source> {
    let root = manifest::audio_root(path, &call.resolved.settings)?;
    let checked = manifest::check(path, &root, |_, _| {})?;
    manifest::refuse_structural(path, &checked)?;
    let intake = Intake::open(path, &root)?;
    let recordings = intake.map(|entry| {
        let Entry { recording, problems, .. } = entry?;
        let mut recording = recording.context("the manifest changed meanwhile")?;
        // Labels are for training: a bad one does not matter here.
        let mut rejects = problems.iter().filter(|p| p.severity == Severity::Reject);
        if rejects.all(|problem| LABELS.contains(&problem.code.as_str())) {
            recording.reject = None;
        }
        Ok(recording)
    });
    Ok((root, Box::new(recordings), checked.rows))
}

/// The files of the command line.
fn of_files(call: &Call) -> Result<Source> {
    let files: Vec<_> = call.matches.get_many::<PathBuf>("files").into_iter().flatten().collect();
    let gender = call.matches.get_one::<Gender>("gender").copied().unwrap_or_default();
    let recordings = files.iter().map(|file| {
        let mut recording = extract::recording(file)?;
        recording.set_gender(gender);
        Ok(recording)
    });
    let recordings: Vec<_> = recordings.collect();
    let total = recordings.len() as u64;
    Ok(("file:///".into(), Box::new(recordings.into_iter()), total))
}

fn write(path: &Path, predictions: &[Prediction]) -> Result<()> {
    output::write_file(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(["Id", "Predicted"])?;
        for Prediction { id, age, .. } in predictions {
            let age = age.map_or_else(String::new, |age| format!("{age:.4}"));
            writer.write_record([id.as_str(), &age])?;
        }
        writer.flush().context("flush")
    })
}

fn text(prediction: &Prediction) -> String {
    let age = prediction.age.map_or_else(|| "–".to_owned(), |age| format!("{age:.1}"));
    let interval = prediction.interval.map(|[low, high]| format!("{low:.0} to {high:.0}"));
    let interval = interval.unwrap_or_default();
    let warnings = prediction.warnings.join(", ");
    let warnings = if warnings.is_empty() { warnings } else { format!("  ({warnings})") };
    format!("{age:>6}  {interval:>10}  {}{warnings}\n", prediction.path)
}
