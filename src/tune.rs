//! `voxage tune`: looks for better settings of a training.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Arg, Command, value_parser};
use serde::Deserialize;
use serde_json::{Value, json};
use voxage_coordinator::study::{Part, Request, Search, Study, Trial, Values};

use crate::settings::Keys;
use crate::{Call, study, train};

pub const KEYS: Keys =
    &["root", "s3", "cache", "dataset", "queue", "queue_name", "queue_ca", "train", "upkeep"];

/// The file of a search.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Space {
    train: toml::Table,
}

/// What may be tried, by the settings' names; a table in a table is part of a name.
fn values(table: toml::Table, before: &str) -> Result<BTreeMap<String, Values>> {
    let mut all = BTreeMap::new();
    for (name, value) in table {
        let name = format!("{before}{name}");
        match value {
            toml::Value::Table(inner) if !inner.contains_key("low") => {
                all.extend(values(inner, &format!("{name}."))?);
            }
            value => {
                let read = value.try_into().ok().with_context(|| {
                    format!("train.{name}: give a list of values, or {{ low = …, high = … }} with log = true or whole = true")
                });
                all.insert(name, read?);
            }
        }
    }
    Ok(all)
}

pub fn command() -> Command {
    let count = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .value_parser(value_parser!(u64).range(2..=1000))
            .default_value(default)
            .help(help)
    };
    Command::new("tune")
        .about("Look for better settings of a training")
        .after_help(
            "--space names a TOML file with what may be tried, such as\n\n  \
             [train]\n  \
             architecture = [\"se-resnet\", \"ecapa\"]\n  \
             learning_rate = { low = 1e-4, high = 3e-3, log = true }\n  \
             dropout = { low = 0.1, high = 0.6 }\n  \
             epochs = { low = 10, high = 40, whole = true }\n  \
             augment.noise_db = [0, 3]\n\n\
             Settings are drawn from it, none twice, measured on one fold of speakers, the better half on two, \
             and so on to all folds of the last. The settings of the command line and the files are \
             tried as they are, too. What is done is not done again; with --queue, trainers do it.",
        )
        .arg(
            Arg::new("space")
                .long("space")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("What may be tried"),
        )
        .arg(count("trials", "16", "Draws, the settings as they are among them"))
        .arg(count("cv", "5", "Folds of speakers"))
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let count = |name: &str| call.matches.get_one::<u64>(name).copied().unwrap_or_default();
    let file = call.matches.get_one::<PathBuf>("space").context("no --space")?;
    let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let space = || values(toml::from_str::<Space>(&text)?.train, "");
    let space = space().with_context(|| format!("{}", file.display()))?;
    let store = settings.existing_store().await?;
    let request = Request {
        manifest: train::newest(&*store, settings).await?,
        settings: train::with_checkpoint(&*store, &settings.train).await?,
        folds: count("cv"),
        seeds: 1,
        by: Vec::new(),
        hold_out: None,
    };
    let study = Study::open(&*store, request.clone()).await?;
    let search = Search { study: request, space, trials: count("trials") };
    search.begin(&*store).await.with_context(|| format!("{}", file.display()))?;
    let drawn = search.drawn()?;
    if (drawn.len() as u64) < search.trials {
        say!("note: {} trials, not {}: there is nothing else to draw", drawn.len(), search.trials);
    }
    let idle: BTreeSet<_> = drawn.iter().filter_map(|t| t.settings.without_effect()).collect();
    for idle in idle {
        say!("note: {idle}");
    }
    let mut failed = BTreeMap::new();
    let trials = loop {
        let progress = search.progress(&*store, &study, &failed).await?;
        if progress.missing.is_empty() {
            break progress.trials;
        }
        let name = |part: &Part| {
            format!("{}, fold {} of {}", part.request.run_id(), part.fold + 1, study.folds.len())
        };
        let parts = &progress.missing;
        let not = study::trainings("tune", &*store, settings, parts, name, &call.stop).await?;
        failed.extend(not);
    };
    call.output.answer(&json!({ "search": search.id(), "trials": trials }), || table(&trials))?;
    Ok(ExitCode::SUCCESS)
}

/// The trials, best first.
fn table(trials: &[Trial]) -> String {
    let mut text = format!("{:>5} {:>5} {:>7}  settings\n", "trial", "folds", "RMSE");
    for Trial { number, drawn, folds, rmse, failed, .. } in trials {
        let rmse = rmse.map_or("–".to_owned(), |rmse| format!("{rmse:.2}"));
        let flag = |(name, value): (&String, &Value)| {
            let text =
                |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let value = match value {
                Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
                value => text(value),
            };
            format!("--{} {value}", name.replace(['.', '_'], "-"))
        };
        let mut what = drawn.iter().map(flag).collect::<Vec<_>>().join(" ");
        if drawn.is_empty() {
            what = "as they are".into();
        }
        let failed = failed.as_ref().map_or(String::new(), |why| format!("  (failed: {why})"));
        let _ = writeln!(text, "{number:>5} {folds:>5} {rmse:>7}  {what}{failed}");
    }
    text += "\n`voxage evaluate --cv` with the flags of a trial on all folds shows more of it\n";
    text
}
