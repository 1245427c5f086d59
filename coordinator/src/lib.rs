//! From a submitted manifest to a sealed data set: intake → plan → dispatch → seal.
//!
//! Always holds: there is no state here that cannot be rebuilt by listing the store, so
//! any step may be repeated, by any process, at any time. It does not know how features
//! are made.

pub mod check;
pub mod dispatch;
mod error;
pub mod intake;
pub mod plan;
pub mod problem;
pub mod seal;
pub mod status;
mod survey;

pub use check::{Checked, check};
pub use error::{Error, Result};
pub use plan::{ShardLimits, Submission, Submitted, submit};
pub use problem::{Problem, Severity};

#[cfg(test)]
mod tests;
