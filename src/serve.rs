//! `voxage serve`: predictions over HTTP, by the champion.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Arg, Command, value_parser};
use tracing::{info, warn};
use voxage_contract::training::{Event, Request, ServeRequest};

use crate::Call;
use crate::misuse::within;
use crate::settings::Keys;
use crate::trainer::Trainer;

pub const KEYS: Keys = &["root", "s3", "model", "slots", "log_format"];

pub fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").default_value(default).help(help)
    };
    Command::new("serve")
        .about("Predict over HTTP: POST /v1/predict with a recording as the body")
        .after_help(
            "It follows promotions without a restart. /openapi.json describes it; /metrics is for \
             Prometheus. There is no password: put a proxy in front of it before others can \
             reach it.\n\
             curl --data-binary @voice.mp3 'http://127.0.0.1:8787/v1/predict?gender=female'",
        )
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDRESS")
                .default_value("127.0.0.1:8787")
                .help("Where it answers; port 0 takes a free one"),
        )
        .arg(
            number("body-mib", "64", "Largest recording that it takes")
                .value_parser(value_parser!(u64).range(1..=4096)),
        )
        .arg(
            number("memory-mib", "512", "All recordings together that are in memory")
                .value_parser(value_parser!(u64).range(1..=1 << 20)),
        )
        .arg(
            number("duration-s", "600", "Longest recording that it takes, in seconds")
                .value_parser(value_parser!(u64).range(1..=10_800)),
        )
        .arg(
            number("timeout-s", "30", "How long a request may take")
                .value_parser(within(0.1..=86_400.0)),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let whole = |name: &str| call.matches.get_one::<u64>(name).copied().unwrap_or_default();
    let (body_mib, memory_mib) = (whole("body-mib"), whole("memory-mib"));
    if memory_mib < body_mib {
        bail!("--memory-mib {memory_mib} has no room for one body of --body-mib {body_mib}");
    }
    let request = Request::Serve(ServeRequest {
        root: settings.root.clone(),
        access: settings.access(),
        model: settings.model.clone(),
        listen: call.matches.get_one::<String>("listen").cloned().unwrap_or_default(),
        slots: settings.slots,
        body_mib,
        memory_mib,
        duration_s: whole("duration-s"),
        timeout_s: call.matches.get_one::<f64>("timeout-s").copied().unwrap_or_default(),
    });
    let trainer = Trainer::start(&request).await?;
    trainer
        .finish(std::iter::empty(), &call.stop, |event| {
            match event {
                Event::Serving { address, model } => info!(address, model, "serving"),
                Event::Note { message } => info!("{message}"),
                Event::Warning { message } => warn!("{message}"),
                _ => {}
            }
            Ok(())
        })
        .await?;
    Ok(ExitCode::SUCCESS)
}
