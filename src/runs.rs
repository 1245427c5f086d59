//! `voxage runs`: trainings, how they went and how they differ.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use clap::{Arg, Command};
use serde_json::{Value, json};
use voxage_contract::training::Metric;
use voxage_coordinator::runs::{Run, metrics, run as find, runs};

use crate::settings::Keys;
use crate::{Call, report};

pub const KEYS: Keys = &["root", "s3"];

pub fn command() -> Command {
    Command::new("runs")
        .about("List trainings, show how one went, or compare some")
        .arg(
            Arg::new("action")
                .value_name("ACTION")
                .required(true)
                .value_parser(["list", "show", "compare"])
                .help("list, show RUN, or compare RUN RUN…"),
        )
        .arg(
            Arg::new("runs").value_name("RUN").num_args(0..).help("A run's name, or its beginning"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let store = call.resolved.settings.existing_store().await?;
    let action = call.matches.get_one::<String>("action").context("no action")?.as_str();
    let names: Vec<&String> = call.matches.get_many("runs").into_iter().flatten().collect();
    match (action, &names[..]) {
        ("list", []) => {
            let runs = runs(&*store).await?;
            call.output.answer(&json!({ "runs": runs }), || listed(&runs))?;
        }
        ("show", [name]) => {
            let run = find(&*store, name).await?;
            let metrics = metrics(&*store, &run.run).await?;
            let answer = json!({ "run": run, "metrics": metrics });
            call.output.answer(&answer, || shown(&run, &metrics))?;
        }
        ("compare", [_, _, ..]) => {
            let mut found = Vec::new();
            for name in names {
                found.push(find(&*store, name).await?);
            }
            let differences = differences(&found)?;
            let answer = json!({ "runs": found, "differences": differences });
            call.output.answer(&answer, || compared(&found, &differences))?;
        }
        ("list", _) => misuse!("`runs list` takes no names: `runs show RUN` shows one"),
        ("show", _) => misuse!("say which run: `voxage runs list` lists them"),
        _ => misuse!("say which runs, two or more: `voxage runs list` lists them"),
    }
    Ok(ExitCode::SUCCESS)
}

fn state(run: &Run) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    match (&run.result, &run.last) {
        (Some(_), _) => "done".into(),
        (None, _) if run.failed.is_some() => {
            format!("failed: {}", run.failed.as_deref().unwrap_or_default())
        }
        (None, _) if run.left => "stopped: asked for again, it goes on".into(),
        (None, None) => "not begun, or at its first steps".into(),
        (None, Some(last)) => {
            let ago = (now - last.at_unix_s).max(0.0);
            format!("epoch {}, step {}, {ago:.0} s ago", last.epoch, last.step)
        }
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.2}"))
}

fn listed(runs: &[Run]) -> String {
    if runs.is_empty() {
        return "there are no runs yet: start one with `voxage train` or `voxage run`".into();
    }
    let mut text = format!(
        "{:16} {:16} {:14} {:>6} {:>10} {:>9}  {}\n",
        "run", "model", "network", "epochs", "validation", "test RMSE", "state"
    );
    for run in runs {
        let result = run.result.as_ref();
        text += &format!(
            "{:16} {:16} {:14} {:>6} {:>10} {:>9}  {}\n",
            run.run,
            run.request.model.as_str(),
            run.request.settings.architecture.name(),
            result.map_or("–".to_owned(), |result| result.epochs.to_string()),
            number(result.and_then(|result| result.validation_rmse)),
            number(result.and_then(|result| result.evaluation.test.all.rmse)),
            state(run)
        );
    }
    text
}

fn shown(run: &Run, metrics: &[Metric]) -> String {
    let mut text = format!(
        "run {} of model {} on {}: {}\n",
        run.run,
        run.request.model,
        run.request.manifest,
        state(run)
    );
    for metric in metrics.iter().filter(|metric| metric.epoch_end) {
        text += &format!(
            "epoch {:4}  step {:8}  loss {}  RMSE {}  {:.0} samples/s\n",
            metric.epoch,
            metric.step,
            metric.loss.map_or("–".to_owned(), |loss| format!("{loss:.4}")),
            number(metric.stopping_rmse),
            metric.samples_per_s
        );
    }
    if let Some(result) = &run.result {
        text += &format!(
            "best epoch {}, model {}\n{}\n",
            result.best_epoch,
            result.model,
            report::evaluation(&result.evaluation)
        );
    }
    text
}

/// What the runs were asked that is not the same for all, by its name.
fn differences(runs: &[Run]) -> Result<BTreeMap<String, Vec<Value>>> {
    let mut asked: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for run in runs {
        let settings = serde_json::to_value(&run.request.settings)?;
        for (name, value) in settings.as_object().into_iter().flatten() {
            asked.entry(name.clone()).or_default().push(value.clone());
        }
        asked.entry("manifest".into()).or_default().push(run.request.manifest.clone().into());
    }
    asked.retain(|_, values| values.windows(2).any(|pair| pair[0] != pair[1]));
    Ok(asked)
}

fn compared(runs: &[Run], differences: &BTreeMap<String, Vec<Value>>) -> String {
    let line = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!(" {cell:>20}")).collect();
        format!("{name:20}{cells}\n")
    };
    let each = |cell: &dyn Fn(&Run) -> String| runs.iter().map(cell).collect::<Vec<_>>();
    let mut text = line("", each(&|run| run.run.clone()));
    for (name, values) in differences {
        text += &line(name, values.iter().map(Value::to_string).collect());
    }
    let result = |of: &dyn Fn(&voxage_contract::training::Trained) -> String| {
        each(&|run| run.result.as_ref().map_or("–".to_owned(), of))
    };
    text += &line("epochs", result(&|result| result.epochs.to_string()));
    text += &line("validation RMSE", result(&|result| number(result.validation_rmse)));
    text += &line("test RMSE", result(&|result| number(result.evaluation.test.all.rmse)));
    text += &line("test MAE", result(&|result| number(result.evaluation.test.all.mae)));
    text + &line("test r", result(&|result| number(result.evaluation.test.all.pearson)))
}
