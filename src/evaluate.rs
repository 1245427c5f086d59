//! `voxage evaluate`: measures a model on speakers that it has not seen, or, with `--cv`, a
//! way of learning on every speaker.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Arg, ArgAction, Command, value_parser};
use serde_json::json;
use voxage_contract::training::{EvaluateRequest, Event, Request};
use voxage_coordinator::study;

use crate::settings::Keys;
use crate::studies;
use crate::trainer::Trainer;
use crate::{Call, output, report, study as carrying_out, train};

/// Those of a training: with `--cv` there are many.
pub const KEYS: Keys = train::KEYS;

pub fn command() -> Command {
    let count = |name: &'static str, least: u64, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .value_parser(value_parser!(u64).range(least..=1000))
            .help(help)
    };
    let column = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("COLUMN").requires("cv").help(help)
    };
    Command::new("evaluate")
        .about("Measure a model on the test speakers, or a way of learning on all speakers")
        .after_help(
            "Without --dataset, a model is measured on the very version that it was trained on.\n\
             With --cv, the settings of a training say what is measured: each fold is predicted \
             by a training that has not heard its speakers, beside mean ages and a ridge on the \
             same folds. What is done is not done again; with --queue, trainers do it. \
             `voxage studies` shows what was found.",
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write the predictions to this CSV file too"),
        )
        .arg(
            count("cv", 2, "Cut the speakers into N folds, and hold out one after the other")
                .conflicts_with("model"),
        )
        .arg(
            count("seeds", 1, "With --cv: so many seeds, from --seed on [default: 1]")
                .requires("cv"),
        )
        .arg(
            column("by", "With --cv: errors by the values of a column, too; may be repeated")
                .action(ArgAction::Append),
        )
        .arg(column("hold-out", "With --cv: hold out values of a column instead of speakers"))
        .arg(
            Arg::new("against")
                .long("against")
                .value_name("STUDY")
                .requires("cv")
                .help("With --cv: compare with another study of the same recordings"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let out = call.matches.get_one::<PathBuf>("out");
    out.map_or(Ok(()), |out| output::check_place(out))?;
    match call.matches.get_one::<u64>("cv") {
        Some(folds) => all_speakers(&call, *folds).await,
        None => one_model(&call).await,
    }
}

async fn one_model(call: &Call) -> Result<ExitCode> {
    let of_trainings = |id: &&str| id.starts_with("train.") || id.starts_with("upkeep.");
    if let Some(setting) = call.matches.ids().map(clap::Id::as_str).find(of_trainings) {
        misuse!("{setting} is about trainings, and without --cv there is none");
    }
    let settings = &call.resolved.settings;
    let store = settings.existing_store().await?;
    let manifest = if settings.dataset.is_empty() {
        None
    } else {
        Some(train::newest(&*store, settings).await?)
    };
    let request = Request::Evaluate(EvaluateRequest {
        root: settings.root.clone(),
        access: settings.access(),
        model: settings.model.clone(),
        manifest,
    });
    let hear = |event| {
        if let Event::Note { message } = event {
            say!("note: {message}");
        }
        Ok(())
    };
    let trainer = Trainer::start(&request).await?;
    let end = tokio::select! {
        end = trainer.finish(std::iter::empty(), &call.stop, hear) => end?,
        () = call.stop.cancelled() => bail!("stopped"),
    };
    let Event::Evaluated(evaluated) = end else { bail!("the trainer answered {end:?}") };
    if let Some(out) = call.matches.get_one::<PathBuf>("out") {
        let table = store.get(&evaluated.predictions).await?;
        output::write_file(out, |file| Ok(std::io::Write::write_all(file, &table)?))?;
    }
    call.output.answer(&evaluated, || {
        format!(
            "model {} on {}\n{}\npredictions in {}/{}",
            evaluated.model,
            evaluated.manifest,
            report::evaluation(&evaluated.evaluation),
            settings.root,
            evaluated.predictions
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn all_speakers(call: &Call, folds: u64) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let store = settings.existing_store().await?;
    let against = match call.matches.get_one::<String>("against") {
        Some(name) => Some(study::study(&*store, name).await?),
        None => None,
    };
    let request = study::Request {
        manifest: train::newest(&*store, settings).await?,
        settings: train::with_checkpoint(&*store, &settings.train).await?,
        folds,
        seeds: call.matches.get_one::<u64>("seeds").copied().unwrap_or(1),
        by: call.matches.get_many("by").into_iter().flatten().cloned().collect(),
        hold_out: call.matches.get_one("hold-out").cloned(),
    };
    if let Some(idle) = request.settings.without_effect() {
        say!("note: {idle}");
    }
    let study = study::Study::begin(&*store, request).await?;
    if (study.folds.len() as u64) < folds {
        let n = study.folds.len();
        say!("note: {n} folds, not {folds}: the others would be empty");
    }
    carrying_out::carry_out(&*store, settings, &study, &call.stop).await?;
    let findings = study.conclude(&*store).await?;
    if let Some(out) = call.matches.get_one::<PathBuf>("out") {
        let table = carrying_out::table(&*store, &study).await?;
        output::write_file(out, |file| Ok(std::io::Write::write_all(file, &table)?))?;
    }
    let compared = match against {
        Some(other) => {
            let other = other.open(&*store).await?;
            Some(studies::compared(&*store, &study, &other).await?)
        }
        None => None,
    };
    call.output.answer(&json!({ "findings": findings, "against": compared }), || {
        let compared = compared.as_ref().map(studies::comparison).unwrap_or_default();
        format!("{}\n{compared}", studies::shown(&findings))
    })?;
    Ok(ExitCode::SUCCESS)
}
