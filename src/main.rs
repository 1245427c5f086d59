//! `voxage`: the command. Parses, gathers settings, and hands over to one file a verb.

#[macro_use]
mod misuse;
#[macro_use]
mod say;

mod blend;
mod cancel;
mod config;
mod coordinator;
mod dataset;
mod dead;
mod drift;
mod ends;
mod evaluate;
mod extract;
mod feature_worker;
mod gc;
mod isolated;
mod manifest;
mod models;
mod observe;
mod output;
mod page;
mod predict;
mod predicting;
mod predictor;
mod progress;
mod rejects;
mod report;
mod run;
mod runs;
mod schedule;
mod serve;
mod settings;
mod status;
mod studies;
mod study;
mod submit;
mod synth;
mod traces;
mod train;
mod trainer;
mod trainer_service;
mod tune;
mod upload;
mod validate;
mod verify;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use output::Output;
use settings::{Keys, LogFormat};

/// How long a verb that was stopped may take to say so itself.
const GRACE: Duration = Duration::from_millis(500);

/// Within it, a second signal to stop is the first one once more.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// What a verb is given.
pub struct Call {
    /// Its own arguments.
    pub matches: ArgMatches,
    /// The settings.
    pub resolved: settings::Resolved,
    /// How to answer.
    pub output: Output,
    /// Cancelled when the user wants to stop.
    pub stop: CancellationToken,
}

/// A verb: its command line, and the settings that it listens to.
struct Verb {
    command: fn() -> Command,
    keys: Keys,
    settle: fn(Call) -> Work,
    ending: Ending,
}

/// How a verb ends that is asked to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// At once.
    Sudden,
    /// By itself, after it has left things in order.
    Orderly,
    /// By itself; it is a service, and works until then.
    Service,
}

type Work = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<ExitCode>>>>;

fn verbs() -> [Verb; 29] {
    macro_rules! verb {
        ($name:ident) => {
            verb!($name, Sudden)
        };
        ($name:ident, $ending:ident) => {
            Verb {
                command: $name::command,
                keys: $name::KEYS,
                settle: |call| Box::pin($name::run(call)),
                ending: Ending::$ending,
            }
        };
    }
    [
        verb!(validate),
        verb!(run, Orderly),
        verb!(submit),
        verb!(coordinator, Service),
        verb!(feature_worker, Service),
        verb!(trainer_service, Service),
        verb!(status),
        verb!(cancel),
        verb!(dead),
        verb!(rejects),
        verb!(verify),
        verb!(extract),
        verb!(isolated),
        verb!(train, Orderly),
        verb!(runs),
        verb!(models),
        verb!(drift),
        verb!(gc),
        verb!(schedule),
        verb!(dataset),
        verb!(evaluate, Orderly),
        verb!(studies),
        verb!(tune, Orderly),
        verb!(page),
        verb!(predict, Orderly),
        verb!(predictor, Service),
        verb!(serve, Service),
        verb!(config),
        verb!(synth),
    ]
}

fn cli() -> Command {
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Answer with one JSON document on standard output");
    let verbs = verbs().into_iter().map(|verb| (verb.command)().args(settings::args(verb.keys)));
    Command::new("voxage")
        .version(concat!(env!("CARGO_PKG_VERSION"), " (", env!("VOXAGE_COMMIT"), ")"))
        .about("Learns a speaker's age from voice recordings, at data-set scale")
        .after_help(
            "Start with `voxage run recordings.csv`: a table with columns id, path and age.\n\
             Exit codes: 0 done, 1 failed, 2 wrong usage. VOXAGE_LOG=debug shows more.\n\
             What fails answers {\"error\": {\"message\"}} under --json.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(verbs.map(|verb| verb.arg(json.clone())))
}

fn main() -> ExitCode {
    let matches = match cli().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return misused(&error),
    };
    let Some((name, matches)) = matches.subcommand() else { return ExitCode::from(2) };
    let Some(verb) = verbs().into_iter().find(|verb| (verb.command)().get_name() == name) else {
        return ExitCode::from(2);
    };
    let output = Output { json: matches.get_flag("json") };
    let resolved = match settings::resolve(matches, &settings::of_process()) {
        Ok(resolved) => resolved,
        Err(error) => {
            output.error(&whole(&error));
            return ExitCode::from(2);
        }
    };
    let traces = match traces::Traces::of_environment(name) {
        Ok(traces) => traces,
        Err(why) => {
            output.error(&format!("OTEL_EXPORTER_OTLP_ENDPOINT: {why}"));
            return ExitCode::from(2);
        }
    };
    log(verb.ending == Ending::Service, resolved.settings.log_format, traces.as_ref());
    let stop = CancellationToken::new();
    let call = Call { matches: matches.clone(), resolved, output, stop: stop.clone() };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            say!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    // That of a service would never end, and have all its work below it.
    let span = match (&traces, verb.ending) {
        (None, _) | (_, Ending::Service) => Span::none(),
        _ => info_span!("command", otel.name = name),
    };
    let ended = runtime.block_on(async {
        let stopped = stop.clone();
        tokio::spawn(async move {
            interrupted().await;
            stop.cancel();
            if verb.ending != Ending::Sudden {
                // It is given its own time, unless someone insists; whoever signals a process
                // and then its group does not.
                tokio::time::sleep(SAME_SIGNAL).await;
                interrupted().await;
            } else {
                // A verb that computes on this thread hears nothing.
                tokio::time::sleep(2 * GRACE).await;
            }
            say!("error: stopped");
            std::process::exit(1);
        });
        let stopped = async {
            stopped.cancelled().await;
            if verb.ending != Ending::Sudden {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = (verb.settle)(call).instrument(span) => ended,
            () = stopped => Err(anyhow::anyhow!("stopped")),
        }
    });
    // A thread that still extracts must not hold up the end.
    runtime.shutdown_background();
    if let Some(traces) = traces {
        traces.shut_down();
    }
    ended.unwrap_or_else(|error| {
        output.error(&whole(&error));
        let misused = error.is::<misuse::Misuse>() || error.is::<voxage_contract::keys::BadName>();
        ExitCode::from(if misused { 2 } else { 1 })
    })
}

/// Shows the help that was asked for, or says what is wrong with the command line.
fn misused(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() && std::env::args().any(|argument| argument == "--json") {
        output::document(&error.to_string());
    }
    ExitCode::from(error.exit_code() as u8)
}

/// What verbs log that are no services: what fails, is waited for or left out of a list.
const VERBS: &str = "error,lapin=off,voxage_transport::s3::quiet=warn,\
    voxage_coordinator::runs=warn,voxage_coordinator::schedule=warn";

/// Starts the log on standard error.
fn log(service: bool, format: LogFormat, traces: Option<&traces::Traces>) {
    let default = if service { "info,lapin=off" } else { VERBS };
    let filter = EnvFilter::try_from_env("VOXAGE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(traces.map(traces::Traces::layer));
    match format {
        LogFormat::Human => registry.with(log.with_filter(filter)).init(),
        LogFormat::Json => registry.with(log.json().with_filter(filter)).init(),
    }
}

/// An error with its causes, as far as it does not name them itself.
fn whole(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |message, cause| {
        match message.as_str() {
            "" => cause,
            said if said.contains(&cause) => message,
            said => format!("{said}: {cause}"),
        }
    })
}

/// Returns when the user or the system asks to stop.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::cli().debug_assert();
    }
}
