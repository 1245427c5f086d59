//! A message in the hands of a consumer.
//!
//! Always holds: settled on the channel that brought it. If that channel is gone, the
//! broker delivers the message again whatever is done here, so settling it is no error.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use lapin::message::Delivery as Message;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Acker, Channel};
use metrics::histogram;
use tracing::debug;

use crate::Result;
use crate::queue::{DeadLetter, Delivery};

use super::AmqpQueue;
use super::publish::{PARENT, PUBLISHED, now_ms};

/// Attempts before this message was published anew.
const ATTEMPTS: &str = "voxage-attempts";
/// Why a message was put aside.
const REASON: &str = "voxage-reason";
/// When, in seconds since 1970.
const AT: &str = "voxage-at";

/// Headers share a frame with other properties, and a frame has a size.
const MAX_REASON_BYTES: usize = 8 << 10;

/// A message in the hands of a consumer; goes back when dropped unsettled.
pub(crate) struct Held {
    acker: Option<Acker>,
    payload: Bytes,
    attempt: u32,
    parent: Option<String>,
    /// Keeps the channel open, and tells the consumer that something is in hand.
    _channel: Arc<Channel>,
    queue: AmqpQueue,
}

impl Held {
    pub(crate) fn new(message: Message, channel: Arc<Channel>, queue: AmqpQueue) -> Self {
        let count = |name| header(&message, name).and_then(integer).unwrap_or(0);
        let attempt = count(ATTEMPTS) + count("x-delivery-count") + 1;
        let published = header(&message, PUBLISHED).and_then(integer);
        // What was tried before has waited on purpose.
        if let Some(published) = published.filter(|_| attempt == 1) {
            let waited_s = (now_ms() - published).max(0) as f64 / 1000.0;
            let queue = queue.topology.queue().to_owned();
            histogram!("voxage_task_wait_seconds", "queue" => queue).record(waited_s);
        }
        let parent = header(&message, PARENT).and_then(string);
        Self {
            acker: Some(message.acker),
            attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
            parent,
            payload: message.data.into(),
            _channel: channel,
            queue,
        }
    }

    async fn settle(&mut self) {
        let Some(acker) = self.acker.take() else { return };
        let settled = acker.ack(BasicAckOptions::default()).await;
        if !matches!(settled, Ok(true)) {
            self.lost();
        }
    }

    /// Publishes the payload elsewhere, then settles it here.
    async fn move_to(&mut self, to: &str, headers: FieldTable) -> Result<()> {
        if !self.acker.as_ref().is_some_and(Acker::usable) {
            self.lost();
            return Ok(());
        }
        self.queue.send(to, &self.payload, headers).await?;
        self.settle().await;
        Ok(())
    }

    fn lost(&self) {
        let queue = self.queue.topology.queue();
        debug!(queue, "the connection that brought this delivery is gone: it will come again");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(acker) = self.acker.take() {
            let requeue = BasicNackOptions { requeue: true, ..Default::default() };
            // The first poll hands it to the connection's thread; nobody needs to know the rest.
            let _ = acker.nack(requeue).now_or_never();
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queue = self.queue.topology.queue();
        f.debug_struct("Held").field("queue", &queue).field("attempt", &self.attempt).finish()
    }
}

#[async_trait]
impl Delivery for Held {
    fn payload(&self) -> &Bytes {
        &self.payload
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn parent(&self) -> Option<&str> {
        self.parent.as_deref()
    }

    async fn ack(mut self: Box<Self>) -> Result<()> {
        self.settle().await;
        Ok(())
    }

    async fn retry(mut self: Box<Self>, after: Duration) -> Result<()> {
        let mut headers = FieldTable::default();
        headers.insert(ATTEMPTS.into(), AMQPValue::LongLongInt(self.attempt.into()));
        let delay = self.queue.topology.delay(after);
        self.move_to(&delay, headers).await
    }

    async fn dead_letter(mut self: Box<Self>, reason: &str) -> Result<()> {
        let mut headers = FieldTable::default();
        let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
        headers.insert(REASON.into(), AMQPValue::LongString(reason.into()));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        headers.insert(AT.into(), AMQPValue::Timestamp(since.as_secs()));
        let dead = self.queue.topology.dead().to_owned();
        self.move_to(&dead, headers).await
    }
}

/// What a message of the dead letters' queue says.
pub(crate) fn dead_letter(message: Message) -> DeadLetter {
    let ours = header(&message, REASON).and_then(string);
    let death = header(&message, "x-death").and_then(first_table);
    let broker = || {
        let why = death.and_then(|death| death.inner().get("reason")).and_then(string);
        match why.as_deref() {
            Some("delivery_limit") => "delivered too often and never settled: \
                                       its consumers died or hung with it"
                .to_owned(),
            Some(why) => format!("put aside by the broker: {why}"),
            None => "put aside without a reason".to_owned(),
        }
    };
    let at = header(&message, AT).or_else(|| death.and_then(|death| death.inner().get("time")));
    let at = at.and_then(integer).and_then(|at| u64::try_from(at).ok());
    DeadLetter {
        reason: ours.unwrap_or_else(broker),
        at: at.map(|at| UNIX_EPOCH + Duration::from_secs(at)),
        payload: message.data.into(),
    }
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a AMQPValue> {
    message.properties.headers().as_ref()?.inner().get(name)
}

fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(value) => Some((*value).into()),
        AMQPValue::ShortShortUInt(value) => Some((*value).into()),
        AMQPValue::ShortInt(value) => Some((*value).into()),
        AMQPValue::ShortUInt(value) => Some((*value).into()),
        AMQPValue::LongInt(value) => Some((*value).into()),
        AMQPValue::LongUInt(value) => Some((*value).into()),
        AMQPValue::LongLongInt(value) => Some(*value),
        AMQPValue::Timestamp(value) => i64::try_from(*value).ok(),
        _ => None,
    }
}

fn string(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(value) => {
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        }
        AMQPValue::ShortString(value) => Some(value.to_string()),
        _ => None,
    }
}

fn first_table(value: &AMQPValue) -> Option<&FieldTable> {
    let AMQPValue::FieldArray(values) = value else { return None };
    match values.as_slice().first() {
        Some(AMQPValue::FieldTable(table)) => Some(table),
        _ => None,
    }
}
