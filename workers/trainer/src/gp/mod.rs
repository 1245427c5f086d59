//! Age from statistics of the whole spectrogram, the table and the embedding, by a Gaussian
//! process: for data sets that are too small for a network to be better.

mod age;
mod columns;
mod descent;
mod kernel;
mod process;
mod statistics;

pub use age::AgeProcess;
pub(crate) use age::{choose, read};
pub use columns::{Columns, Row};
pub use kernel::{Group, Shape};
pub use process::{Process, Rows};
pub use statistics::{DYNAMICS, Statistics, TIMBRE};
