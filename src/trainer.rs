//! `voxage-trainer`, found beside this program, and the talk with it.
//!
//! Always holds: the trainer is a process of its own, so that this one carries no torch.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio_util::sync::CancellationToken;
use voxage_contract::Recording;
use voxage_contract::training::{Event, Request};

/// Where the trainer is.
///
/// # Errors
/// If it is not beside this program.
pub fn find() -> Result<PathBuf> {
    let this = std::env::current_exe().context("find this program")?.canonicalize()?;
    let trainer = this.with_file_name("voxage-trainer");
    if !trainer.is_file() {
        bail!(
            "{} is not there: training and prediction need it beside voxage; `make build` builds both",
            trainer.display()
        );
    }
    Ok(trainer)
}

/// What a trainer failed with.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub message: String,
    /// Whether the same may succeed later.
    pub transient: bool,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failed {}

/// How often torch's threads look for work before they sleep. OpenMP's own 300,000 times are
/// milliseconds, in which they keep a core from whoever would give them more: beside other work,
/// a step takes up to twice as long then (docs/benchmarks.md).
const SPIN: (&str, &str) = ("GOMP_SPINCOUNT", "10000");

/// A trainer at work.
pub struct Trainer {
    child: Child,
    request: ChildStdin,
}

impl Trainer {
    /// Starts a trainer with a request.
    ///
    /// # Errors
    /// If it is not there or does not start.
    pub async fn start(request: &Request) -> Result<Self> {
        let path = find()?;
        let mut command = Command::new(&path);
        let is_set = |name| std::env::var_os(name).is_some();
        if !is_set(SPIN.0) && !is_set("OMP_WAIT_POLICY") {
            command.env(SPIN.0, SPIN.1);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", path.display()))?;
        let mut stdin = child.stdin.take().context("the trainer has no input")?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        // A trainer that ends at once says why in its events, or on standard error.
        let _ = stdin.write_all(&line).await;
        Ok(Self { child, request: stdin })
    }

    /// Sends the recordings of the request, hears every event, and gives the last. A `stop`
    /// is handed on: the trainer ends by itself then.
    ///
    /// # Errors
    /// If the trainer fails: its message.
    pub async fn finish(
        self,
        recordings: impl Iterator<Item = Result<Recording>>,
        stop: &CancellationToken,
        mut hear: impl FnMut(Event) -> Result<()>,
    ) -> Result<Event> {
        let Self { mut child, request } = self;
        let events = child.stdout.take().context("the trainer has no output")?;
        let mut lines = BufReader::new(events).lines();
        let listen = async {
            let mut last = None;
            while let Some(line) = lines.next_line().await? {
                match serde_json::from_str(&line)
                    .with_context(|| format!("the trainer said {line}"))?
                {
                    Event::Failed { message, transient } => {
                        bail!(Failed { message, transient });
                    }
                    event @ (Event::Progress { .. }
                    | Event::Measured(_)
                    | Event::Note { .. }
                    | Event::Warning { .. }
                    | Event::Prediction(_)
                    | Event::ShardPredicted { .. }
                    | Event::Serving { .. }) => {
                        hear(event)?;
                    }
                    end => last = Some(end),
                }
            }
            Ok(last)
        };
        let pid = child.id().and_then(|id| Pid::from_raw(id as i32));
        let hand_on = async {
            stop.cancelled().await;
            if let Some(pid) = pid {
                // It has ended by itself if it is not there.
                let _ = kill_process(pid, Signal::TERM);
            }
            std::future::pending().await
        };
        let (sent, last) = tokio::select! {
            both = async { tokio::join!(send(request, recordings), listen) } => both,
            never = hand_on => never,
        };
        let last = last?;
        sent?;
        let status = child.wait().await?;
        if !status.success() && stop.is_cancelled() {
            bail!("stopped: repeat it to go on");
        }
        last.filter(|_| status.success()).with_context(|| {
            format!("the trainer ended with {status} before it was done; what it said is above")
        })
    }
}

async fn send(
    mut request: ChildStdin,
    recordings: impl Iterator<Item = Result<Recording>>,
) -> Result<()> {
    for recording in recordings {
        let mut line = serde_json::to_vec(&recording?)?;
        line.push(b'\n');
        if request.write_all(&line).await.is_err() {
            // It has ended: its last event says why.
            break;
        }
    }
    Ok(())
}
