//! A run in the store, while a process is at it: its lease, checkpoints and metrics.
//!
//! Always holds: a process trains only while it has the run's lease; a checkpoint is one
//! object, created whole, after the lines of metrics that belong before it; the newest are
//! kept. A store that is away for a while delays the training and loses nothing of it.
//! It does not know what is in a checkpoint.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use voxage_contract::training::{Metric, Upkeep};
use voxage_contract::{Kind, keys};
use voxage_transport::lease::{Claim, Lease, TTL};
use voxage_transport::{Store, StoreExt as _};

use crate::tensorboard::events;
use crate::{Error, Result};

/// Between two attempts to reach a store that is away.
const PAUSE: Duration = Duration::from_secs(5);

/// Lines of metrics wait for each other at most this long.
const GATHER: Duration = Duration::from_secs(10);

/// A run that this process is at.
#[derive(Debug)]
pub struct Run {
    id: String,
    store: Arc<dyn Store>,
    runtime: Handle,
    lease: Option<Lease>,
    upkeep: Upkeep,
    /// Lines that are not written yet.
    lines: Vec<Metric>,
    written: Instant,
    /// When the last checkpoint was made.
    kept: Instant,
    writer: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What the writer does in the background.
enum Job {
    Metrics { lines: Vec<Metric> },
    Checkpoint { step: u64, bytes: Vec<u8> },
}

impl Run {
    /// Begins to work on a run.
    ///
    /// # Errors
    /// If another process is at it, or the store fails.
    pub fn begin(
        id: &str,
        store: &Arc<dyn Store>,
        runtime: &Handle,
        upkeep: &Upkeep,
    ) -> Result<Self> {
        let folder = keys::run_lease(id);
        let lease = match runtime.block_on(Lease::claim(Arc::clone(store), &folder, TTL))? {
            Claim::Held(lease) => lease,
            Claim::Busy(holder) => return Err(Error::Busy { run: id.into(), holder }),
        };
        // One job may wait: a store that is slower than the training slows it down.
        let (writer, jobs) = sync_channel(1);
        let writes = Writes {
            id: id.to_owned(),
            store: Arc::clone(store),
            runtime: runtime.clone(),
            kept: upkeep.checkpoints,
        };
        let now = Instant::now();
        Ok(Self {
            id: id.to_owned(),
            store: Arc::clone(store),
            runtime: runtime.clone(),
            lease: Some(lease),
            upkeep: upkeep.clone(),
            lines: Vec::new(),
            written: now,
            kept: now,
            writer: Some(writer),
            thread: Some(thread::spawn(move || writes.run(&jobs))),
        })
    }

    /// The newest checkpoint that `open` can use, with the note that it makes of others.
    ///
    /// # Errors
    /// If the store fails.
    pub fn newest<T>(
        &self,
        open: impl Fn(&str, &[u8]) -> Result<T>,
        mut note: impl FnMut(String),
    ) -> Result<Option<T>> {
        let keys = self.runtime.block_on(self.store.keys(&keys::checkpoints(&self.id)))?;
        for key in keys.iter().rev() {
            let bytes = self.runtime.block_on(self.store.get(key))?;
            match open(key, &bytes) {
                Ok(opened) => return Ok(Some(opened)),
                Err(error) => note(format!("a checkpoint is left out: {error}")),
            }
        }
        Ok(None)
    }

    /// Returns when this process may go on.
    ///
    /// # Errors
    /// If another process has taken the run over, or nothing can be written.
    pub fn may_go_on(&mut self) -> Result<()> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish_writing()?;
        }
        let lost = || Error::Busy { run: self.id.clone(), holder: "another process".into() };
        let lease = self.lease.as_mut();
        let held =
            lease.is_some_and(|lease| lease.is_held() || self.runtime.block_on(lease.held()));
        if held { Ok(()) } else { Err(lost()) }
    }

    /// Adds a line of metrics.
    pub fn metric(&mut self, mut metric: Metric) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        metric.at_unix_s = since.as_secs_f64();
        self.lines.push(metric);
        if self.written.elapsed() > GATHER {
            self.write_lines();
        }
    }

    /// Whether it is time for a checkpoint.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        self.kept.elapsed().as_secs_f64() >= self.upkeep.checkpoint_s
    }

    /// Keeps a checkpoint, in the background.
    pub fn keep(&mut self, step: u64, bytes: Vec<u8>) {
        self.write_lines();
        self.send(Job::Checkpoint { step, bytes });
        self.kept = Instant::now();
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// If something could not be.
    pub fn finish_writing(&mut self) -> Result<()> {
        self.write_lines();
        self.writer = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }

    /// Ends the work: another may take it up at once. Why it failed for good, if it did, is
    /// written down with that.
    ///
    /// # Errors
    /// If something could not be written.
    pub fn end(mut self, why: String) -> Result<()> {
        let written = self.finish_writing();
        if let Some(lease) = self.lease.take() {
            self.runtime.block_on(lease.release(why.into()));
        }
        written
    }

    fn write_lines(&mut self) {
        if !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            self.send(Job::Metrics { lines });
        }
        self.written = Instant::now();
    }

    fn send(&self, job: Job) {
        if let Some(writer) = &self.writer {
            // A writer that has ended is noticed before the next step.
            let _ = writer.send(job);
        }
    }
}

/// Writes what a run leaves, in its order.
struct Writes {
    id: String,
    store: Arc<dyn Store>,
    runtime: Handle,
    /// Checkpoints that stay.
    kept: usize,
}

impl Writes {
    fn run(self, jobs: &Receiver<Job>) -> Result<()> {
        // One that died may have left more than are kept.
        self.patiently(|| self.runtime.block_on(self.prune()))?;
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Metrics { lines } => {
                    let Some(Metric { step, epoch_end, .. }) = lines.last().copied() else {
                        continue;
                    };
                    let mut text = Vec::new();
                    for line in &lines {
                        serde_json::to_writer(&mut text, line)
                            .map_err(|error| Error::damaged("metrics", error))?;
                        text.push(b'\n');
                    }
                    self.put(&keys::metrics_until(&self.id, step, epoch_end), text)?;
                    self.put(&keys::events_until(&self.id, step, epoch_end), events(&lines))?;
                }
                Job::Checkpoint { step, bytes } => {
                    self.put(&keys::checkpoint(&self.id, step), bytes)?;
                    self.patiently(|| self.runtime.block_on(self.prune()))?;
                }
            }
        }
        Ok(())
    }

    fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let bytes = bytes::Bytes::from(bytes);
        self.patiently(|| {
            // What is there was written before this run was taken up again, and is the same.
            self.runtime.block_on(self.store.put_new(key, bytes.clone())).map(drop)
        })
    }

    /// Deletes all checkpoints but the newest.
    async fn prune(&self) -> Result<(), voxage_transport::Error> {
        let mut keys = VecDeque::from(self.store.keys(&keys::checkpoints(&self.id)).await?);
        while keys.len() > self.kept.max(1) {
            if let Some(oldest) = keys.pop_front() {
                self.store.delete(&oldest).await?;
            }
        }
        Ok(())
    }

    /// Tries until it succeeds or cannot.
    fn patiently(&self, work: impl Fn() -> Result<(), voxage_transport::Error>) -> Result<()> {
        loop {
            match work() {
                Err(error) if error.kind() == Kind::Transient => thread::sleep(PAUSE),
                ended => return Ok(ended?),
            }
        }
    }
}
