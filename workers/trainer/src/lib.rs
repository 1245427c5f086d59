//! Fits, measures and uses models: the only user of torch.
//!
//! Always holds: a model version is complete once its card is there, and never changes
//! after; the same request gives the same run. It reads features from sealed manifests
//! and from audio, and does not know how either came about.

pub mod augment;
pub mod blend;
pub mod cells;
pub mod conformal;
pub mod copies;
pub mod device;
pub mod error;
pub mod estimator;
pub mod evaluate;
pub mod export;
pub mod feed;
pub mod fit;
pub mod gp;
pub mod graph;
pub mod image;
pub mod inputs;
pub mod malloc;
pub mod measure;
pub mod model;
pub mod models;
pub mod nets;
pub mod network;
pub mod objective;
pub mod optimizer;
pub mod pace;
pub mod panics;
pub mod predict;
pub mod run;
pub mod scaler;
pub mod serve;
pub mod session;
pub mod shim;
pub mod store;
pub mod tensorboard;
pub mod tensors;
pub mod train;
pub mod trees;
pub mod years;

pub use error::{Error, Result};
