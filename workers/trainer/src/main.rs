//! `voxage-trainer`: does what one request on its standard input asks, and says how it
//! goes as events on its standard output, a line of JSON each. People use `voxage`, which
//! starts it.

use std::io::{BufRead as _, Lines, StdinLock, Write as _};
use std::process::ExitCode;

use tokio::runtime::{Handle, Runtime};
use voxage_contract::Recording;
use voxage_contract::training::{Event, Request};
use voxage_trainer::{Error, Result, malloc, predict, train};

fn main() -> ExitCode {
    malloc::keep_memory();
    if std::env::args().len() > 1 {
        eprintln!(
            "voxage-trainer {} reads a request from its standard input: use `voxage train`, `voxage evaluate` or `voxage predict`",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::from(2);
    }
    let (end, code) = match Runtime::new() {
        Ok(runtime) => match answer(runtime.handle()) {
            Ok(end) => (end, ExitCode::SUCCESS),
            Err(error) => (Event::Failed { message: error.to_string() }, ExitCode::FAILURE),
        },
        Err(error) => (Event::Failed { message: error.to_string() }, ExitCode::FAILURE),
    };
    say(&end);
    code
}

fn answer(runtime: &Handle) -> Result<Event> {
    let mut lines = std::io::stdin().lock().lines();
    Ok(match read(&mut lines)?.ok_or_else(|| Error::Request("there is none".into()))? {
        Request::Train(request) => {
            Event::Trained(train::train(&request, runtime, &mut |event| say(&event))?)
        }
        Request::Evaluate(request) => Event::Evaluated(train::evaluate_model(&request, runtime)?),
        Request::Predict(request) => {
            let recordings = std::iter::from_fn(|| read::<Recording>(&mut lines).transpose());
            let model = predict::predict(&request, recordings, runtime, &mut |event| say(&event))?;
            Event::Predicted { model }
        }
    })
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
