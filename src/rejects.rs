//! `voxage rejects`: every recording that failed, as a table.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Arg, Command, value_parser};
use serde_json::json;
use voxage_contract::Name;
use voxage_coordinator::rejects::rejects;

use crate::settings::Keys;
use crate::{Call, output};

pub const KEYS: Keys = &["root", "s3"];

pub fn command() -> Command {
    Command::new("rejects")
        .about("Write down every recording that failed: id, path, stage, code, message")
        .arg(Arg::new("data set").value_name("DATASET").required(true).help("Its name"))
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("CSV table to write [default: standard output]"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let name: Name = call.matches.get_one::<String>("data set").context("no data set")?.parse()?;
    let store = call.resolved.settings.existing_store().await?;
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["id", "path", "stage", "code", "message"])?;
    let (mut count, mut failed, mut all) = (0, None, Vec::new());
    let listed = call.output.json && !call.matches.contains_id("out");
    rejects(&*store, &name, |recording, reject| {
        if listed {
            all.push(json!({
                "id": recording.id, "path": recording.path,
                "stage": reject.stage, "code": reject.code, "message": reject.message,
            }));
        }
        let cells = [&recording.id, &recording.path, &reject.stage, &reject.code, &reject.message];
        count += 1;
        failed = table.write_record(cells).err().or(failed.take());
    })
    .await?;
    failed.map_or(Ok(()), Err)?;
    let bytes = table.into_inner()?;
    let Some(path) = call.matches.get_one::<PathBuf>("out") else {
        if listed {
            call.output.answer(&json!({ "rejects": all }), String::new)?;
        } else {
            call.output.bytes(&bytes)?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    output::check_place(path)?;
    output::write_file(path, |file| Ok(std::io::Write::write_all(file, &bytes)?))?;
    call.output.answer(&json!({ "rejects": count, "out": path }), || {
        format!("{count} rejects in {}", path.display())
    })?;
    Ok(ExitCode::SUCCESS)
}
