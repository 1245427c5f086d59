//! Publishing: returns when the broker has confirmed, tries again until then.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};
use voxage_contract::Kind;

use crate::{Error, Result, trace};

use super::backoff::Backoff;
use super::error::{failed, timed_out};
use super::link::{ANSWER, Link, answered};
use super::topology::Topology;

/// Kept by the broker over a restart.
const PERSISTENT: u8 = 2;

/// When a message was published, in milliseconds since 1970.
pub(crate) const PUBLISHED: &str = "voxage-published";

/// The span of whoever published it: the name is W3C's.
pub(crate) const PARENT: &str = "traceparent";

/// The time as messages have it.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Publishes with confirms, on one channel for all.
#[derive(Debug)]
pub(crate) struct Publisher {
    link: Arc<Link>,
    patience: Duration,
    channel: Mutex<Option<Channel>>,
}

/// What the broker did with a message.
enum Answer {
    Taken,
    Full,
    Unroutable,
}

impl Publisher {
    pub(crate) fn new(link: Arc<Link>, patience: Duration) -> Self {
        Self { link, patience, channel: Mutex::default() }
    }

    /// Publishes to the broker's queue `to`, one of the topology's. Waits while it is full;
    /// gives up when nothing else has helped for as long as the patience.
    pub(crate) async fn publish(
        &self,
        topology: &Topology,
        to: &str,
        payload: &[u8],
        headers: FieldTable,
    ) -> Result<()> {
        let what = format!("publish to the queue '{to}'");
        let mut end = Instant::now() + self.patience;
        let (mut backoff, mut told) = (Backoff::new(), false);
        loop {
            self.link.check_open()?;
            let error = match self.attempt(&what, to, payload, &headers).await {
                Ok(Answer::Taken) => return Ok(()),
                Ok(Answer::Full) => {
                    if !told {
                        debug!(queue = to, "the queue is full: waiting");
                        told = true;
                    }
                    end = Instant::now() + self.patience;
                    sleep(backoff.pause()).await;
                    continue;
                }
                // The broker has lost the queue, perhaps with all its data.
                Ok(Answer::Unroutable) => match topology.declare(&self.link).await {
                    Ok(()) => unroutable(&what),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let pause = backoff.pause();
            if Instant::now() + pause > end || is_refusal(&error) {
                return Err(error);
            }
            warn!(%error, ?pause, "publishing again");
            sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        what: &str,
        to: &str,
        payload: &[u8],
        headers: &FieldTable,
    ) -> Result<Answer> {
        let channel = self.channel().await?;
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let mut headers = headers.clone();
        headers.insert(PUBLISHED.into(), AMQPValue::LongLongInt(now_ms()));
        if let Some(span) = trace::current() {
            headers.insert(PARENT.into(), AMQPValue::LongString(span.into()));
        }
        let properties =
            BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(headers);
        let publish = async {
            channel.basic_publish("".into(), to.into(), options, payload, properties).await?.await
        };
        match timeout(ANSWER, publish).await {
            Ok(Ok(Confirmation::Ack(None) | Confirmation::NotRequested)) => Ok(Answer::Taken),
            Ok(Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)))) => {
                Ok(Answer::Unroutable)
            }
            Ok(Ok(Confirmation::Nack(None))) => Ok(Answer::Full),
            Ok(Err(error)) => Err(failed(what, &error)),
            Err(_) => {
                // A late confirm would be taken for another's.
                self.channel.lock().await.take();
                Err(timed_out(what))
            }
        }
    }

    async fn channel(&self) -> Result<Channel> {
        let mut channel = self.channel.lock().await;
        if let Some(live) = channel.as_ref().filter(|live| live.status().connected()) {
            return Ok(live.clone());
        }
        let made = self.link.channel().await?;
        let what = "ask the broker for confirms";
        answered(what, made.confirm_select(ConfirmSelectOptions::default())).await?;
        *channel = Some(made.clone());
        Ok(made)
    }
}

fn unroutable(what: &str) -> Error {
    Error::Queue {
        what: what.into(),
        text: "the broker had no such queue, so it was made again".into(),
        kind: Kind::Transient,
    }
}

fn is_refusal(error: &Error) -> bool {
    error.kind() == Kind::Permanent
}
