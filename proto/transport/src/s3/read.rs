//! Reading objects: answers that break off in the middle are asked for again.
//!
//! Always holds: a body is whole, as long as its head said and with the checksum that the
//! server has of it, or is an error; how long it may take grows with its size.

use std::fs::File;
use std::time::Instant;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::s3::failure::Failure;
use crate::s3::server::{PATIENCE, transfer};

/// How often a body that breaks off is asked for again; each time the request itself is
/// retried as any.
const BODIES: u32 = 5;

/// Sends a request for an object and gives what `receive` makes of the answer; sends it
/// again if the body breaks off.
pub(crate) async fn read<T, F>(
    request: GetObjectFluentBuilder,
    receive: impl Fn(GetObjectOutput) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let (start, mut left) = (Instant::now(), BODIES);
    loop {
        let answer = request.clone().send().await.map_err(|error| Failure::of(&error))?;
        match receive(answer).await {
            Err(failure) if failure.broken && left > 0 && start.elapsed() < PATIENCE => left -= 1,
            end => return end,
        }
    }
}

/// The size of a body in bytes, as its head has it.
pub(crate) fn size_bytes(answer: &GetObjectOutput) -> u64 {
    answer.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

/// A body in memory.
pub(crate) async fn collect(answer: GetObjectOutput) -> Result<Bytes, Failure> {
    in_time(size_bytes(&answer), async {
        let bytes = answer.body.collect().await.map_err(|error| Failure::broken(&error))?;
        Ok(bytes.into_bytes())
    })
    .await
}

/// A body in an unnamed temporary file, its position at the start.
pub(crate) async fn spool(mut answer: GetObjectOutput) -> Result<File, Failure> {
    let disk = |error| Failure::disk(&error);
    in_time(size_bytes(&answer), async {
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(disk)?);
        while let Some(bytes) = answer.body.try_next().await.map_err(|e| Failure::broken(&e))? {
            file.write_all(&bytes).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        let mut file = file.into_std().await;
        std::io::Seek::rewind(&mut file).map_err(disk)?;
        Ok(file)
    })
    .await
}

async fn in_time<T>(
    n_bytes: u64,
    body: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let late = |error| Err(Failure::broken(&error));
    timeout(PATIENCE + transfer(n_bytes), body).await.unwrap_or_else(late)
}
