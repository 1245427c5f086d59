//! Fits, measures and uses models: the only user of torch.
//!
//! Always holds: a model version is complete once its card is there, and never changes
//! after; the same request gives the same run. It reads features from sealed manifests
//! and from audio, and does not know how either came about.

pub mod error;
pub mod evaluate;
pub mod fit;
pub mod image;
pub mod inputs;
pub mod malloc;
pub mod metrics;
pub mod model;
pub mod models;
pub mod network;
pub mod predict;
pub mod scaler;
pub mod store;
pub mod train;

pub use error::{Error, Result};
