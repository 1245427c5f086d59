//! `voxage-trainer`: does what one request on its standard input asks, and says how it
//! goes as events on its standard output, a line of JSON each. People use `voxage`, which
//! starts it.

use std::io::{BufRead as _, Lines, StdinLock, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::{Handle, Runtime};
use voxage_contract::training::{Event, Request};
use voxage_contract::{Kind, Recording};
use voxage_trainer::panics::{caught, keep_quiet};
use voxage_trainer::train::{self, End};
use voxage_trainer::{Error, Result, export, malloc, measure, predict, serve};

fn main() -> ExitCode {
    malloc::keep_memory();
    keep_quiet();
    if std::env::args().len() > 1 {
        eprintln!(
            "voxage-trainer {} reads a request from its standard input: use `voxage train`, `voxage evaluate` or `voxage predict`",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::from(2);
    }
    let (end, code) = match Runtime::new() {
        Ok(runtime) => match caught(|| answer(runtime.handle())) {
            Ok(end) => (end, ExitCode::SUCCESS),
            Err(error) => {
                let transient = error.kind() == Kind::Transient;
                (Event::Failed { message: error.to_string(), transient }, ExitCode::FAILURE)
            }
        },
        Err(error) => {
            let message = error.to_string();
            (Event::Failed { message, transient: true }, ExitCode::FAILURE)
        }
    };
    say(&end);
    code
}

fn answer(runtime: &Handle) -> Result<Event> {
    let mut lines = std::io::stdin().lock().lines();
    Ok(match read(&mut lines)?.ok_or_else(|| Error::Request("there is none".into()))? {
        Request::Train(request) => {
            let stop = asked_to_stop(runtime);
            match train::train(&request, runtime, &stop, &mut |event| say(&event)) {
                Ok(End::Trained(trained)) => Event::Trained(*trained),
                Ok(End::Interrupted { run, step }) => Event::Interrupted { run, step },
                Err(Error::Busy { run, holder }) => Event::Busy { run, holder },
                Err(error) => return Err(error),
            }
        }
        Request::Evaluate(request) => {
            let mut say = |event| say(&event);
            Event::Evaluated(measure::evaluate_model(&request, runtime, &mut say)?)
        }
        Request::Predict(request) => {
            let recordings = std::iter::from_fn(|| read::<Recording>(&mut lines).transpose());
            let model = predict::predict(&request, recordings, runtime, &mut |event| say(&event))?;
            Event::Predicted { model }
        }
        Request::PredictShards(request) => {
            let model = predict::predict_shards(&request, runtime, &mut |event| say(&event))?;
            Event::Predicted { model }
        }
        Request::Export(request) => Event::Exported { model: export::export(&request, runtime)? },
        Request::Serve(request) => {
            let stop = asked_to_stop(runtime);
            serve::serve(&request, runtime, &stop, &mut |event| say(&event))?;
            Event::Served
        }
    })
}

/// Becomes true when the system or the user asks this process to stop.
fn asked_to_stop(runtime: &Handle) -> Arc<AtomicBool> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = Arc::new(AtomicBool::new(false));
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let stop = Arc::clone(&stop);
        runtime.spawn(async move {
            if let Ok(mut signals) = signal(kind) {
                signals.recv().await;
                stop.store(true, Ordering::Relaxed);
            }
        });
    }
    stop
}

/// The next line, as what it should be.
fn read<T: serde::de::DeserializeOwned>(lines: &mut Lines<StdinLock<'_>>) -> Result<Option<T>> {
    let Some(line) = lines.next() else { return Ok(None) };
    let line = line.map_err(|error| Error::Request(error.to_string()))?;
    serde_json::from_str(&line).map(Some).map_err(|error| Error::Request(error.to_string()))
}

fn say(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        // Whoever asked is gone if nobody reads: there is nobody left to tell.
        if writeln!(std::io::stdout(), "{line}").is_err() {
            std::process::exit(1);
        }
    }
}
