//! `voxage evaluate`: measures a model on speakers that it has not seen.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Arg, Command, value_parser};
use voxage_contract::training::{EvaluateRequest, Event, Request};

use crate::settings::Keys;
use crate::trainer::Trainer;
use crate::{Call, output, report, train};

pub const KEYS: Keys = &["root", "s3", "cache", "dataset", "model"];

pub fn command() -> Command {
    Command::new("evaluate")
        .about("Measure a model on the test speakers, beside the mean-age baseline")
        .after_help("Without --dataset, on the very version that the model was trained on.")
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write the predictions to this CSV file too"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let out = call.matches.get_one::<PathBuf>("out");
    out.map_or(Ok(()), |out| output::check_place(out))?;
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
    let end =
        Trainer::start(&request).await?.finish(std::iter::empty(), &call.stop, |_| Ok(())).await?;
    let Event::Evaluated(evaluated) = end else { bail!("the trainer answered {end:?}") };
    if let Some(out) = out {
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
