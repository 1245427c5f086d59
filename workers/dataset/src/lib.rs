//! A sealed manifest as batches of samples in a seeded order, with speaker-disjoint splits.
//!
//! Always holds: the order follows from the manifest and the seed alone, and any position in
//! it can be started at; a speaker is in one split only; memory is bounded, whatever the
//! data set's size. It knows nothing of torch.

mod batches;
mod cache;
mod error;
mod fetch;
mod map;
mod open;
mod order;
mod pool;
mod quality;
mod rows;
mod splits;
mod window;
mod work;

pub use batches::{Batches, Samples};
pub use cache::Cache;
pub use error::{Error, Result};
pub use open::{Dataset, Pass};
pub use order::{BLOCK_BYTES, BLOCK_ROWS, Order, Place};
pub use pool::{Pool, Pooled};
pub use quality::Quality;
pub use rows::rows;
pub use splits::SplitRule;
pub use voxage_contract::Rng;
pub use voxage_shards::{Columns, Sample};
pub use window::{Norm, window};
