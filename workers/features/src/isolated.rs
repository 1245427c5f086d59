//! Recordings extracted each in a process of its own: for a task whose workers died.
//!
//! Always holds: a recording that takes its process down costs one reject, and nothing of
//! the worker. It is slower, so it is done only to tasks that were lost before.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use futures::{Stream, StreamExt as _, stream};
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use voxage_contract::{FeatureSpec, Group, Recording, Reject, Task};
use voxage_shards::{Columns, Row, Shard};

use crate::{Error, Result};

/// The exit code of a process that could not reach a recording: trying again may help.
pub const EXIT_AGAIN: u8 = 75;

/// A program that reads a task of one recording on its standard input and writes the shard
/// of it to its standard output: see [`crate::answer`].
#[derive(Debug, Clone)]
pub struct Isolation {
    /// The program.
    pub program: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
}

impl Isolation {
    /// The recordings of a task with their rows, in their order, `width` at a time.
    pub(crate) fn extract(
        &self,
        task: Task,
        spec: FeatureSpec,
        width: usize,
    ) -> impl Stream<Item = (Recording, Result<Row>)> + use<> {
        let Task { dataset, batch, audio_root, recordings, .. } = task;
        let isolation = self.clone();
        let rows = stream::iter(recordings).map(move |recording| {
            let group = Group { recordings: vec![recording.clone()] };
            let task = Task::new(&dataset, batch, &spec, &audio_root, group);
            let row = isolation.clone().row(task, recording.clone());
            async { (recording, row.await) }
        });
        rows.buffered(width)
    }

    async fn row(self, task: Task, recording: Recording) -> Result<Row> {
        let failed = |why: std::io::Error| Error::Isolated {
            path: recording.path.clone(),
            why: why.to_string(),
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            // A process that died before it read says so by its end.
            let _ = input.write_all(&task.encode_to_vec()).await;
        }
        let ended = child.wait_with_output().await.map_err(failed)?;
        if ended.status.success() {
            let shard = Shard::open(ended.stdout.into())?;
            let row = shard.rows(Columns::All)?.next();
            return Ok(row.ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into()))??);
        }
        if is_interruption(ended.status) {
            let said = String::from_utf8_lossy(&ended.stdout).into_owned();
            let why = match said.is_empty() {
                true => format!("its process ended: {}", ended.status),
                false => said,
            };
            return Err(failed(std::io::Error::other(why)));
        }
        let message = format!(
            "the extractor did not survive this recording ({}): please report it",
            ended.status
        );
        let outcome = Err(Reject::new("extract", "crashed", message));
        Ok(Row { recording: Recording { reject: None, ..recording }, outcome })
    }
}

/// Whether the end is no fault of the recording.
fn is_interruption(status: ExitStatus) -> bool {
    let stopped = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
    status.code() == Some(EXIT_AGAIN.into())
        || status.signal().is_some_and(|s| stopped.contains(&s))
}
