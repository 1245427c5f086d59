//! Store and Queue: the two ways in which voxage processes reach each other.
//!
//! The store is the truth, the queue only delivers. Every backend passes the suite in
//! `conformance.rs` unchanged. This crate moves bytes; it does not know what is in them.

mod amqp;
#[cfg(test)]
mod conformance;
mod counted;
mod dir;
mod error;
mod holder;
mod in_process;
pub mod lease;
mod queue;
mod s3;
pub mod source;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod trace;

pub use amqp::{Amqp, AmqpOptions, AmqpQueue, DeadLetters, Depth};
pub use counted::Counted;
pub use dir::Dir;
pub use error::Error;
pub use in_process::InProcess;
pub use queue::{DeadLetter, Deliveries, Delivery, Queue};
pub use s3::{S3, S3Settings};
pub use store::{Listing, ObjectMeta, Put, Store, StoreExt};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
