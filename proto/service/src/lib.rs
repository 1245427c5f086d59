//! What every service of voxage has: a small HTTP server with its health and its metrics.
//!
//! It does not know what a service does. Whoever counts something says so by the macros of
//! the crate `metrics`, which cost next to nothing where nobody listens.

mod health;
mod listen;
mod metrics;
mod problem;

pub use health::{Check, Health};
pub use listen::{bind, listen};
pub use metrics::Metrics;
pub use problem::Problem;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address}: {source}: {flag} takes host:port, one that no other process has")]
pub struct ListenError {
    /// It.
    pub address: String,
    /// The flag that gives it.
    pub flag: &'static str,
    /// Why not.
    pub source: std::io::Error,
}
