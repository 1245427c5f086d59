//! The feature worker: takes a task, extracts its recordings, commits the shard, settles
//! the delivery.
//!
//! Always holds: a delivery is acknowledged only after its shard is in the store; one
//! recording that fails, even by a panic, costs one reject; at most `slots` recordings
//! are extracted at a time, off the async runtime. It does not know where tasks come from.

mod error;
mod isolated;
mod pool;
mod recording;
mod shard;
mod worker;

pub use error::{Error, Result};
pub use isolated::Isolation;
pub use pool::Pool;
pub use recording::probe;
pub use shard::answer;
pub use worker::{Progress, Worker};

/// Counts the time of a stage that began at `start`.
fn took(stage: &'static str, start: std::time::Instant) {
    metrics::histogram!("voxage_stage_seconds", "stage" => stage).record(start.elapsed());
}

#[cfg(test)]
mod tests;
