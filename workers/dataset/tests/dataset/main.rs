//! The laws of a data set, over real stores and real shards.
#![allow(clippy::unwrap_used)]

mod batches;
mod cache;
mod house;
mod memory;
mod order;
mod s3;
mod splits;
