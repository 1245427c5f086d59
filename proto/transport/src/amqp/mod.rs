//! Queues on a RabbitMQ broker, by lapin.
//!
//! Always holds: a publish returns only after the broker's confirm; what is retried or
//! put aside is confirmed in its new place before it leaves the old one, so a payload may
//! come twice and is never lost by this side. The connection and the broker's queues are
//! made again whenever they are gone, even if the broker has lost all its data; consumers
//! see nothing of that but a pause. No password reaches an error, a log or Debug.
//! It does not know what is in a payload.

mod address;
mod backoff;
mod beats;
mod consume;
mod dead;
mod delivery;
mod error;
mod feed;
mod link;
mod publish;
mod topology;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use lapin::types::FieldTable;

use crate::Result;
use crate::queue::{Deliveries, Queue};

use address::Address;
use beats::Beats;
pub use dead::DeadLetters;
use link::Link;
use publish::Publisher;
use topology::Topology;

/// How many payloads a queue holds unless told otherwise.
const MAX_LENGTH: u32 = 20_000;

/// How to reach a broker, beside its address.
#[derive(Debug, Clone)]
pub struct AmqpOptions {
    /// Begins the name of everything on the broker, so that several installations share
    /// one: letters, digits, '-', '_' and '.'.
    pub name: String,
    /// Certificates (PEM) to trust for `amqps://` beside the system's.
    pub ca_file: Option<PathBuf>,
    /// For how long a publish tries to reach a broker that is away.
    pub patience: Duration,
}

impl Default for AmqpOptions {
    fn default() -> Self {
        Self { name: "voxage".into(), ca_file: None, patience: Duration::from_secs(60) }
    }
}

/// A connection to a RabbitMQ broker, made again whenever it is lost. Clones are the same
/// connection.
#[derive(Debug, Clone)]
pub struct Amqp(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    link: Arc<Link>,
    publisher: Arc<Publisher>,
    beats: Beats,
}

impl Amqp {
    /// Connects to the broker at `url` (`amqp://user:password@host:port/vhost`, or
    /// `amqps://`); `name` begins the name of everything that is made there.
    ///
    /// # Errors
    /// Permanent if the broker refuses the credentials or has no such virtual host,
    /// transient if it cannot be reached.
    pub async fn open(url: &str, name: &str) -> Result<Self> {
        Self::open_with(url, AmqpOptions { name: name.into(), ..Default::default() }).await
    }

    /// Connects to the broker at `url` as the options say.
    ///
    /// # Errors
    /// As [`open`](Self::open), and permanent if the CA file cannot be read.
    pub async fn open_with(url: &str, options: AmqpOptions) -> Result<Self> {
        topology::check_name(&options.name)?;
        let address = Address::parse(url)?;
        let link = Link::open(address, options.ca_file.as_deref(), &options.name).await?;
        let publisher = Arc::new(Publisher::new(Arc::clone(&link), options.patience));
        let beats = Beats::new(Arc::clone(&link), &options.name);
        Ok(Self(Arc::new(Inner { name: options.name, link, publisher, beats })))
    }

    /// The queue `<name>.<queue>`, with its delay queues and its dead letters, made on the
    /// broker if need be. It holds 20,000 payloads: more make publishers wait.
    ///
    /// # Errors
    /// Permanent if the broker has such a queue with other settings.
    pub async fn queue(&self, queue: &str) -> Result<AmqpQueue> {
        self.queue_of(queue, MAX_LENGTH).await
    }

    /// As [`queue`](Self::queue), for `max_length` payloads. All who use a queue must
    /// agree on it.
    ///
    /// # Errors
    /// Permanent if the broker has such a queue with other settings.
    pub async fn queue_of(&self, queue: &str, max_length: u32) -> Result<AmqpQueue> {
        topology::check_name(queue)?;
        let topology = Topology::new(&format!("{}.{queue}", self.0.name), max_length);
        topology.declare(&self.0.link).await?;
        Ok(AmqpQueue {
            topology: Arc::new(topology),
            link: Arc::clone(&self.0.link),
            publisher: Arc::clone(&self.0.publisher),
        })
    }

    /// Tells all who listen to [`beats`](Self::beats) now. Never waits and never fails:
    /// a beat that cannot be sent is dropped.
    pub fn publish_beat(&self, beat: Bytes) {
        self.0.beats.publish(beat);
    }

    /// The beats that are published from now on. A listener that falls behind by
    /// thousands misses the oldest.
    ///
    /// # Errors
    /// Transient if the broker cannot be reached now. Later the stream waits instead, and
    /// ends when the connection is closed.
    pub async fn beats(&self) -> Result<BoxStream<'static, Bytes>> {
        self.0.beats.listen().await
    }

    /// Whether the broker is there and knows all consumers of this process.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn ready(&self) -> Result<(), String> {
        self.0.link.ready()
    }

    /// Closes the connection for good: streams end, publishes fail.
    pub async fn close(&self) {
        self.0.link.close().await;
    }
}

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Payloads that are ready to be delivered: neither in a consumer's hands nor waiting
    /// for their retry.
    pub ready: u32,
    /// Consumers.
    pub consumers: u32,
}

/// A queue on a broker. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct AmqpQueue {
    topology: Arc<Topology>,
    link: Arc<Link>,
    publisher: Arc<Publisher>,
}

impl AmqpQueue {
    /// What waits in it now.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub async fn depth(&self) -> Result<Depth> {
        let (ready, consumers) = self.topology.depth(&self.link, self.topology.queue()).await?;
        Ok(Depth { ready, consumers })
    }

    /// What was put aside.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(self.clone())
    }

    /// Publishes to one of the broker's queues that belong to this one; returns after the
    /// broker's confirm.
    async fn send(&self, to: &str, payload: &[u8], headers: FieldTable) -> Result<()> {
        self.publisher.publish(&self.topology, to, payload, headers).await
    }
}

#[async_trait]
impl Queue for AmqpQueue {
    async fn publish(&self, payload: Bytes) -> Result<()> {
        self.send(self.topology.queue(), &payload, FieldTable::default()).await
    }

    async fn consume(&self, prefetch: usize) -> Result<Deliveries> {
        consume::deliveries(self.clone(), prefetch).await
    }
}
