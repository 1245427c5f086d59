//! The Queue: brings payloads to consumers at least once.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::Result;

/// Deliveries as they come; ends when the queue is closed.
pub type Deliveries = BoxStream<'static, Result<Box<dyn Delivery>>>;

/// Brings payloads to consumers at least once, in no promised order.
#[async_trait]
pub trait Queue: Send + Sync + std::fmt::Debug {
    /// Hands over a payload; returns when the queue has taken responsibility for it.
    /// Waits while the queue is full.
    async fn publish(&self, payload: Bytes) -> Result<()>;

    /// Starts to consume. At most `prefetch` deliveries of this consumer are unsettled
    /// at a time.
    async fn consume(&self, prefetch: usize) -> Result<Deliveries>;
}

/// A payload in the hands of a consumer. Settle it by one of the three calls; one that
/// is dropped unsettled is delivered again.
#[async_trait]
pub trait Delivery: Send + std::fmt::Debug {
    /// What was published.
    fn payload(&self) -> &Bytes;

    /// 1 for the first delivery of this payload, more for each later one.
    fn attempt(&self) -> u32;

    /// The span of whoever published it, for [`crate::trace::follow`]; none if it is not known.
    fn parent(&self) -> Option<&str> {
        None
    }

    /// Done: forget it.
    async fn ack(self: Box<Self>) -> Result<()>;

    /// Not now: deliver it again no sooner than `after` from now.
    async fn retry(self: Box<Self>, after: Duration) -> Result<()>;

    /// Never: put it aside for a person, with the reason.
    async fn dead_letter(self: Box<Self>, reason: &str) -> Result<()>;
}

/// A payload that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// What was published.
    pub payload: Bytes,
    /// Why its consumer, or the queue itself, gave up.
    pub reason: String,
    /// When, to the second; none if whoever put it there did not say.
    pub at: Option<SystemTime>,
}
