//! `voxage report`: how good a model or a study is, as a page to look at.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Arg, Command, value_parser};
use serde_json::json;
use voxage_coordinator::report::{self, Report};
use voxage_coordinator::{Error, study};
use voxage_transport::Store;

use crate::settings::Keys;
use crate::{Call, output};

pub const KEYS: Keys = &["root", "s3"];

pub fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").value_parser(value_parser!(PathBuf)).help(help)
    };
    Command::new("report")
        .about("Show how good a model or a study is, as an HTML page and a model card")
        .after_help("Both lie beside a model already, report.html and card.md of its version, unless it was measured on more than 100,000 recordings.")
        .arg(
            Arg::new("name")
                .value_name("MODEL|STUDY")
                .required(true)
                .help("A model (name for its champion, before there is one its newest version; name@number; name@newest), or a study's name"),
        )
        .arg(file("out", "The HTML page to write").required(true))
        .arg(file("card", "The model card to write, too, in Markdown"))
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let name = call.matches.get_one::<String>("name").context("no name")?;
    let out = call.matches.get_one::<PathBuf>("out").context("no file")?;
    let card = call.matches.get_one::<PathBuf>("card");
    for place in card.into_iter().chain([out]) {
        output::check_place(place)?;
    }
    let store = call.resolved.settings.existing_store().await?;
    let report = find(&*store, name).await?;
    let text = |text: String| {
        move |file: &mut std::fs::File| Ok(std::io::Write::write_all(file, text.as_bytes())?)
    };
    output::write_file(out, text(report::page(&report)))?;
    if let Some(card) = card {
        output::write_file(card, text(report::card(&report)))?;
    }
    let answer = json!({ "name": report.name, "out": out, "card": card });
    call.output.answer(&answer, || format!("{}: {}", report.name, out.display()))?;
    Ok(ExitCode::SUCCESS)
}

async fn find(store: &dyn Store, name: &str) -> Result<Report> {
    if let Some(report) = report::of_model(store, name).await? {
        return Ok(report);
    }
    match study::study(store, name).await {
        Err(Error::NoStudy(_)) => bail!(
            "there is no model and no study '{name}': `voxage models list` and `voxage studies \
             list` list those that there are"
        ),
        found => Ok(report::of_study(store, &found?).await?),
    }
}

/// Puts page and card beside a new model version, and tells of leaks. A model without them is a
/// model, too.
pub async fn beside(store: &dyn Store, version: &str) {
    match report::beside(store, version).await {
        Ok(leaks) => leaks.iter().for_each(|leak| say!("warning: {leak}")),
        Err(error) => say!("no report beside {version}: {error}"),
    }
}
