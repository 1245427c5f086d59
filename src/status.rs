//! `voxage status`: what is done, failed and left.

use std::process::ExitCode;

use anyhow::Result;
use clap::Command;
use serde_json::json;
use voxage_coordinator::status::status;
use voxage_transport::Dir;

use crate::Call;
use crate::settings::Keys;

pub const KEYS: Keys = &["root"];

pub fn command() -> Command {
    Command::new("status").about("Show what is done, failed and left of every data set of a root")
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let datasets = status(&Dir::open_existing(&settings.root)?).await?;
    call.output.answer(&json!({ "datasets": datasets }), || {
        if datasets.is_empty() {
            return format!(
                "{} has no data set yet: start with `voxage run MANIFEST`",
                settings.root
            );
        }
        let mut text = format!(
            "{:24} {:>10} {:>10} {:>8} {:>8}  {}\n",
            "data set", "submitted", "rows", "rejects", "left", "sealed"
        );
        for one in &datasets {
            let sealed = if one.sealed { "yes" } else { "no" };
            text += &format!(
                "{:24} {:>10} {:>10} {:>8} {:>8}  {sealed}\n",
                one.name.as_str(),
                one.submitted,
                one.rows,
                one.rejects,
                one.left
            );
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}
