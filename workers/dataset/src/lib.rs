//! A sealed manifest as a stream of samples in a seeded order, with speaker-disjoint
//! splits.
//!
//! Always holds: the order follows from the manifest and the seed alone; a speaker is
//! in one split only; memory is one block of rows, whatever the data set's size. It knows
//! nothing of torch.

mod error;
mod open;
mod rng;
mod splits;
mod stream;

pub use error::{Error, Result};
pub use open::Dataset;
pub use rng::Rng;
pub use splits::SplitRule;
pub use stream::{Order, Sample, Samples};

#[cfg(test)]
mod tests;
