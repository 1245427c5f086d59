//! `voxage models`: the versions of models, and which of them predicts.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgAction, Command, value_parser};
use serde_json::{Value, json};
use voxage_contract::Name;
use voxage_contract::training::{Event, ExportRequest, Promotion, Reason, Request};
use voxage_coordinator::registry::{
    Decision, Version, card, champion, decide, history, promote, rollback, versions,
};
use voxage_coordinator::schedule::{Instant, Zone};

use voxage_transport::Store;

use crate::ends::now;
use crate::settings::Keys;
use crate::trainer::Trainer;
use crate::{Call, blend, report};

pub const KEYS: Keys = &["root", "s3", "model", "gate"];

pub fn command() -> Command {
    Command::new("models")
        .about("List and compare the versions of models, and say which one predicts")
        .after_help(
            "The champion predicts; before there is one, the newest version does. `promote` asks \
             the gate first: better than the champion on the same held-out speakers, and worse in \
             no part; --force does not ask. `blend` makes a new version of --model that is a \
             weighted mean of others, such as several seeds; `voxage studies blend` says what that \
             is worth, and finds weights.",
        )
        .arg(
            Arg::new("action")
                .value_name("ACTION")
                .required(true)
                .value_parser([
                    "list", "show", "diff", "promote", "rollback", "history", "blend", "export",
                ])
                .help(
                    "list [MODEL], show V, diff A B, promote V, rollback MODEL, history MODEL, \
                     blend A B …, or export V",
                ),
        )
        .arg(
            Arg::new("names")
                .value_name("NAME")
                .num_args(0..)
                .help("A model, or a version of it: age@3"),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Promote without asking the gate"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FOLDER")
                .help("With export: where model.pt (TorchScript) and model.json go"),
        )
        .arg(
            Arg::new("weights")
                .long("weights")
                .value_name("W,W,…")
                .value_delimiter(',')
                .value_parser(value_parser!(f64))
                .help("With blend: how much each counts [default: all alike]"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let store = settings.existing_store().await?;
    let store = &*store;
    let action = call.matches.get_one::<String>("action").context("no action")?.as_str();
    let names: Vec<&String> = call.matches.get_many("names").into_iter().flatten().collect();
    match (action, &names[..]) {
        ("list", []) => {
            let all = versions(store, None).await?;
            call.output.answer(&json!({ "versions": all }), || listed(&all))?;
        }
        ("list", [model]) => {
            let all = versions(store, Some(&known(store, model).await?)).await?;
            call.output.answer(&json!({ "versions": all }), || listed(&all))?;
        }
        ("show", [name]) => {
            let (model, number) = version(name)?;
            let card = card(store, &model, number).await?;
            let in_force = champion(store, &model).await?;
            let is_champion = in_force.is_some_and(|champion| champion.version == number);
            let answer = json!({ "version": name, "champion": is_champion, "card": card });
            call.output.answer(&answer, || {
                let champion = if is_champion { ", the champion" } else { "" };
                format!(
                    "{name}{champion}\n{} on {}, run {}\n{}\n",
                    card.settings.architecture.name(),
                    card.manifest,
                    card.run,
                    report::evaluation(&card.evaluation)
                )
            })?;
        }
        ("diff", [a, b]) => {
            let mut sides = Vec::new();
            for name in [a, b] {
                let (model, number) = version(name)?;
                sides.push(leaves(&serde_json::to_value(card(store, &model, number).await?)?));
            }
            let differences = differences(&sides[0], &sides[1]);
            let answer = json!({ "versions": [a, b], "differences": differences });
            call.output.answer(&answer, || told(&differences, a, b))?;
        }
        ("promote", [name]) => {
            let (model, number) = version(name)?;
            if champion(store, &model).await?.is_some_and(|now| now.version == number) {
                bail!("{name} is the champion already");
            }
            let decision = if call.matches.get_flag("force") {
                None
            } else {
                Some(decide(store, &settings.gate, &model, number).await?)
            };
            if let Some(no) = decision.as_ref().filter(|decision| !decision.promote) {
                call.output.answer(&json!({ "promoted": false, "decision": no }), || {
                    format!("{}{name} is not promoted (--force does not ask)\n", checks(no))
                })?;
                return Ok(ExitCode::FAILURE);
            }
            let (reason, at) = (Reason::Hand, now());
            let promotion = promote(store, &model, number, reason, decision.as_ref(), at).await?;
            call.output.answer(&json!({ "promoted": true, "promotion": promotion }), || {
                let checks = decision.as_ref().map_or(String::new(), checks);
                format!("{checks}{name} is the champion\n")
            })?;
        }
        ("rollback", [model]) => {
            let promotion = rollback(store, &known(store, model).await?, now()).await?;
            call.output.answer(&json!({ "promotion": promotion }), || {
                format!("{model}@{} is the champion again\n", promotion.version)
            })?;
        }
        ("history", [model]) => {
            let all = history(store, &known(store, model).await?).await?;
            call.output.answer(&json!({ "promotions": all }), || past(model, &all))?;
        }
        ("blend", [_, _, ..]) => {
            let mut unique = names.clone();
            unique.sort();
            unique.dedup();
            if unique.len() < names.len() {
                misuse!("name each version once: --weights says how much one counts");
            }
            let versions = names.iter().map(|name| version(name)).collect::<Result<Vec<_>>>()?;
            blend::make(&call, store, &versions).await?;
        }
        ("export", [name]) => {
            let Some(out) = call.matches.get_one::<String>("out") else {
                misuse!("say with --out where to")
            };
            if out.contains("://") {
                misuse!("--out {out} is no folder of this machine: copy it from one to there")
            }
            let request = Request::Export(ExportRequest {
                root: settings.root.clone(),
                access: settings.access(),
                model: (*name).clone(),
                out: out.clone(),
            });
            let trainer = Trainer::start(&request).await?;
            let end = trainer.finish(std::iter::empty(), &call.stop, |_| Ok(())).await?;
            let Event::Exported { model } = end else { bail!("the trainer answered {end:?}") };
            call.output.answer(&json!({ "model": model, "out": out }), || {
                format!("{model} as TorchScript in {out}\n")
            })?;
        }
        ("blend", _) => misuse!("say which: `voxage models blend age@1 age@2`"),
        ("list", _) => misuse!("`models list` takes one model, or none"),
        ("diff", _) => misuse!("say which two: `voxage models diff age@1 age@2`"),
        ("show" | "promote" | "export", _) => {
            misuse!("say which version: `voxage models {action} age@1`")
        }
        _ => misuse!("say which model: `voxage models {action} age`"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of a model that has a version.
async fn known(store: &dyn Store, model: &str) -> Result<Name> {
    let name: Name = model.parse()?;
    if versions(store, Some(&name)).await?.is_empty() {
        bail!("there is no model '{model}': `voxage models list` lists those that there are");
    }
    Ok(name)
}

/// The model and the number of `model@number`.
fn version(name: &str) -> Result<(Name, u64)> {
    let parsed = name.split_once('@').and_then(|(m, n)| Some((m.parse().ok()?, n.parse().ok()?)));
    let Some(parsed) = parsed else {
        misuse!("'{name}' is no version: write age@3; `voxage models list` lists them")
    };
    Ok(parsed)
}

fn listed(all: &[Version]) -> String {
    if all.is_empty() {
        return "there are no models yet: `voxage train` or `voxage run` makes one\n".into();
    }
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let mut text = format!(
        "{:20} {:9} {:14} {:>5} {:>7} {:>7}  {}\n",
        "version", "", "architecture", "n", "RMSE", "MAE", "trained on"
    );
    for Version { model, number: version, champion, card } in all {
        let test = &card.evaluation.test.all;
        text += &format!(
            "{:20} {:9} {:14} {:>5} {:>7} {:>7}  {}\n",
            format!("{model}@{version}"),
            if *champion { "champion" } else { "" },
            card.settings.architecture.name(),
            test.n,
            number(test.rmse),
            number(test.mae),
            card.manifest
        );
    }
    text
}

/// The leaves of a JSON document by dotted name.
fn leaves(value: &Value) -> Vec<(String, Value)> {
    fn walk(value: &Value, name: &str, all: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    let name =
                        if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                    walk(value, &name, all);
                }
            }
            leaf => all.push((name.to_owned(), leaf.clone())),
        }
    }
    let mut all = Vec::new();
    walk(value, "", &mut all);
    all
}

/// What is not the same in both: name, and the value of either.
fn differences(a: &[(String, Value)], b: &[(String, Value)]) -> Vec<(String, Value, Value)> {
    let of = |side: &[(String, Value)], name: &str| {
        side.iter().find(|(other, _)| other == name).map_or(Value::Null, |(_, value)| value.clone())
    };
    let mut names: Vec<&String> = a.iter().chain(b).map(|(name, _)| name).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    let both = names.into_iter().map(|name| (name.clone(), of(a, name), of(b, name)));
    both.filter(|(_, a, b)| a != b).collect()
}

fn told(differences: &[(String, Value, Value)], a: &str, b: &str) -> String {
    let mut text = format!("{:36} {a:>24} {b:>24}\n", "");
    for (name, one, other) in differences {
        let cell = |value: &Value| match value {
            Value::Array(_) => "…".to_owned(),
            value => value.to_string(),
        };
        text += &format!("{name:36} {:>24} {:>24}\n", cell(one), cell(other));
    }
    text
}

fn checks(decision: &Decision) -> String {
    let line = |check: &voxage_coordinator::registry::Check| {
        format!("{:3} {}\n", if check.passed { "yes" } else { "no" }, check.words)
    };
    decision.checks.iter().map(line).collect()
}

fn past(model: &str, all: &[Promotion]) -> String {
    if all.is_empty() {
        return format!("model '{model}' has no champion yet: its newest version predicts\n");
    }
    let line = |promotion: &Promotion| {
        let time = Instant(promotion.at_unix_s).local(Zone::UTC);
        let reason = match promotion.reason {
            Reason::Gate => "by the gate",
            Reason::Hand if promotion.decision.is_some() => "by hand, with the gate",
            Reason::Hand => "by hand, without the gate",
            Reason::Rollback => "rollback",
        };
        format!("{time}  {model}@{}  {reason}\n", promotion.version)
    };
    all.iter().map(line).collect()
}
