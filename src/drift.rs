//! `voxage drift`: how far a version of a data set is from what the champion has learned from.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Arg, Command, value_parser};
use serde_json::json;
use voxage_contract::{Name, keys};
use voxage_coordinator::drift::{Drift, WARN_PSI, drift};
use voxage_coordinator::registry;

use crate::settings::Keys;
use crate::{Call, train};

pub const KEYS: Keys = &["root", "s3", "dataset", "model"];

/// Columns that are shown, the farthest.
const SHOWN: usize = 12;

pub fn command() -> Command {
    Command::new("drift")
        .about("Compare a data set with the data that the champion has learned from")
        .after_help(
            "The population stability index (PSI) and the Kolmogorov-Smirnov statistic of each \
             feature, of age, gender, duration, codec and sample rate. A PSI that is 0.2 above \
             what chance makes of it is a warning.",
        )
        .arg(
            Arg::new("against")
                .long("against")
                .value_name("N")
                .value_parser(value_parser!(u64))
                .help("Compare with this version of the data set, not with the champion's data"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let store = settings.existing_store().await?;
    let manifest = train::newest(&*store, settings).await?;
    let reference = match call.matches.get_one::<u64>("against") {
        Some(number) => {
            let dataset = keys::dataset_of(&manifest).context("the manifest has no data set")?;
            keys::manifest(&dataset, *number)
        }
        None => {
            let model: Name = settings.model.parse()?;
            let champion = registry::champion(&*store, &model).await?;
            let champion = champion.with_context(|| {
                format!("model '{model}' has no champion: name a version with --against N")
            })?;
            registry::card(&*store, &model, champion.version).await?.manifest
        }
    };
    let found = drift(&*store, &reference, &manifest).await?;
    call.output
        .answer(&json!({ "drift": found, "warnings": found.warnings() }), || told(&found))?;
    Ok(ExitCode::SUCCESS)
}

fn told(found: &Drift) -> String {
    let mut text = format!("{} against {}\n", found.manifest, found.reference);
    text += &format!("{:28} {:>7} {:>7} {:>6}\n", "", "PSI", "chance", "KS");
    for column in found.columns.iter().take(SHOWN) {
        let ks = column.ks.map_or("–".to_owned(), |ks| format!("{ks:.2}"));
        let warns = if column.warns() { "  drift" } else { "" };
        text += &format!(
            "{:28} {:>7.3} {:>7.3} {ks:>6}{warns}\n",
            column.name, column.psi, column.chance
        );
    }
    if let Some(nearer) = found.columns.len().checked_sub(SHOWN + 1) {
        text += &format!("… and {} columns that are nearer (--json shows all)\n", nearer + 1);
    }
    let [before, now] = found.reject_rates;
    text += &format!("rejects: {:.1} % after {:.1} %\n", 100.0 * now, 100.0 * before);
    match found.warnings().len() {
        0 => text + "nothing has drifted\n",
        n => text + &format!("{n} warnings (PSI more than {WARN_PSI} above chance)\n"),
    }
}
