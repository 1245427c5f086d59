//! From a submitted manifest to a sealed data set: intake → submit → plan → dispatch → seal.
//!
//! Always holds: there is no state here that cannot be rebuilt by listing the store, so
//! any step may be repeated, by any process, at any time. It does not know how features
//! are made.

pub mod check;
pub mod company;
pub mod dead;
pub mod dispatch;
pub mod drift;
mod error;
pub mod gc;
pub mod intake;
pub mod plan;
pub mod problem;
pub mod register;
pub mod registry;
pub mod rejects;
pub mod report;
pub mod runs;
pub mod scene;
pub mod schedule;
pub mod seal;
mod service;
pub mod status;
pub mod study;
pub mod submit;
mod survey;
pub mod trainings;
pub mod verify;
pub mod web;

pub use check::{Checked, check};
pub use error::{Error, Result};
pub use plan::plan_all;
pub use problem::{Problem, Severity};
pub use register::Register;
pub use service::Coordinator;
pub use submit::{Submission, Submitted, submit};

#[cfg(test)]
mod tests;
