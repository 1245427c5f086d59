//! Recordings extracted each in a process of its own: for a task whose workers died.
//!
//! Always holds: a recording that takes its process down costs one reject, and nothing of
//! the worker. It is slower, so it is done only to tasks that were lost before.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use voxage_contract::{FeatureSpec, Group, Recording, Reject, Task};
use voxage_shards::{Columns, Row, Shard};

use crate::pool::Pool;
use crate::{Error, Result};

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
    /// The recordings of a task with their rows, in their order, each when the pool has a slot.
    pub(crate) fn extract(
        &self,
        task: Task,
        spec: FeatureSpec,
        pool: &Arc<Pool>,
    ) -> impl Stream<Item = (Recording, Result<Row>)> + use<> {
        let Task { dataset, batch, audio_root, recordings, .. } = task;
        let (isolation, pool, width) = (self.clone(), Arc::clone(pool), pool.width());
        let rows = stream::iter(recordings).map(move |recording| {
            let group = Group { recordings: vec![recording.clone()] };
            let task = Task::new(&dataset, batch, &spec, &audio_root, group);
            let (row, pool) = (isolation.clone().row(task, recording.clone()), Arc::clone(&pool));
            async move {
                let _slot = pool.slot().await;
                (recording, row.await)
            }
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

/// Whether the end is no fault of the recording: a process that was not killed has its say, and
/// what the extractor makes of a recording is a row.
fn is_interruption(status: ExitStatus) -> bool {
    let stopped = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
    status.signal().is_none_or(|signal| stopped.contains(&signal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_transport::source::Sources;

    /// What comes of recordings whose process is this script, of a pool of two slots.
    async fn extracted(script: &str, recordings: usize) -> Vec<Result<Row>> {
        let arguments = vec!["-c".into(), format!("cat >/dev/null; {script}")];
        let isolation = Isolation { program: "/bin/sh".into(), arguments };
        let (spec, recordings) = (FeatureSpec::default(), vec![Recording::default(); recordings]);
        let task = Task::new("d", 1, &spec, "file:///", Group { recordings });
        let rows = isolation.extract(task, spec, &Pool::new(2, Sources::any()));
        rows.map(|(_, row)| row).collect().await
    }

    #[tokio::test]
    async fn only_a_process_that_is_killed_by_its_recording_makes_a_reject() {
        for (script, why) in [("printf 'no keys'; exit 1", "no keys"), ("kill -15 $$", "signal")] {
            let rows = extracted(script, 1).await;
            assert!(rows[0].as_ref().unwrap_err().to_string().contains(why), "{script}: {rows:?}");
        }
        let rows = extracted("kill -9 $$", 1).await;
        assert_eq!(rows[0].as_ref().unwrap().outcome.as_ref().unwrap_err().code, "crashed");
    }

    #[tokio::test]
    async fn as_many_processes_run_as_there_are_slots() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let path = log.path().display();
        extracted(&format!("echo 1 >> {path}; sleep 0.1; echo -1 >> {path}; exit 1"), 7).await;
        let (mut running, mut most) = (0, 0);
        for line in std::fs::read_to_string(log.path()).unwrap().lines() {
            running += line.parse::<i32>().unwrap();
            most = most.max(running);
        }
        assert_eq!((running, most), (0, 2));
    }
}
