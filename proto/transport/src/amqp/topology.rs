//! The broker's queues that make one queue:
//! ```text
//! <queue>             tasks; when full it refuses, after too many deliveries ▶ dead
//! <queue>.retry.<n>s  delays: what lies there for n seconds ▶ <queue>
//! <queue>.dead        what was put aside
//! ```
//! All are quorum queues, so they survive the broker's death. What moves between them by
//! itself is confirmed first (dead-lettering "at least once").

use std::time::Duration;

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use voxage_contract::Kind;

use crate::{Error, Result};

use super::link::{Link, answered};

/// After so many failed deliveries the broker puts a payload aside by itself. Generous: a
/// restart counts, and so do payloads that only waited in a consumer's window.
pub(crate) const DELIVERY_LIMIT: i32 = 20;

/// Dead letters go back with each look at them; newer brokers drop after 20 times unless told.
const DEAD_DELIVERY_LIMIT: i32 = 1_000_000_000;

/// What a retry may wait, in seconds.
const DELAYS_S: [u32; 5] = [1, 5, 30, 120, 600];

type Arguments = Vec<(&'static str, AMQPValue)>;

/// The broker's queues that make one queue.
#[derive(Debug)]
pub(crate) struct Topology {
    queue: String,
    dead: String,
    max_length: u32,
}

impl Topology {
    pub(crate) fn new(queue: &str, max_length: u32) -> Self {
        Self { queue: queue.into(), dead: format!("{queue}.dead"), max_length }
    }

    /// The queue of tasks.
    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    /// The queue of dead letters.
    pub(crate) fn dead(&self) -> &str {
        &self.dead
    }

    /// The queue of those who wait `after`, or else the longest.
    pub(crate) fn delay(&self, after: Duration) -> String {
        let longest = DELAYS_S[DELAYS_S.len() - 1];
        let enough = |delay_s: &u32| Duration::from_secs((*delay_s).into()) >= after;
        self.delay_queue(DELAYS_S.into_iter().find(enough).unwrap_or(longest))
    }

    fn delay_queue(&self, delay_s: u32) -> String {
        format!("{}.retry.{delay_s}s", self.queue)
    }

    /// Makes whatever of it the broker does not have.
    pub(crate) async fn declare(&self, link: &Link) -> Result<()> {
        let channel = link.channel().await?;
        let dead = vec![("x-delivery-limit", number(DEAD_DELIVERY_LIMIT))];
        declare(&channel, &self.dead, dead).await?;
        let mut tasks = moves_to(&self.dead);
        tasks.push(("x-delivery-limit", number(DELIVERY_LIMIT)));
        tasks.push(("x-max-length", number(i32::try_from(self.max_length).unwrap_or(i32::MAX))));
        declare(&channel, &self.queue, tasks).await?;
        for delay_s in DELAYS_S {
            let mut delay = moves_to(&self.queue);
            delay.push(("x-message-ttl", AMQPValue::LongLongInt(i64::from(delay_s) * 1000)));
            declare(&channel, &self.delay_queue(delay_s), delay).await?;
        }
        Ok(())
    }

    /// Ready payloads and consumers of one of the queues.
    pub(crate) async fn depth(&self, link: &Link, queue: &str) -> Result<(u32, u32)> {
        let channel = link.channel().await?;
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let what = format!("look into the queue '{queue}'");
        let found =
            answered(&what, channel.queue_declare(queue.into(), options, FieldTable::default()))
                .await?;
        Ok((found.message_count(), found.consumer_count()))
    }
}

async fn declare(channel: &Channel, queue: &str, arguments: Arguments) -> Result<()> {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let what = format!("make the queue '{queue}' on the broker");
    answered(&what, channel.queue_declare(queue.into(), options, table)).await?;
    Ok(())
}

/// What dies in a queue goes to another, confirmed.
fn moves_to(queue: &str) -> Arguments {
    vec![
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(queue)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ]
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn number(value: i32) -> AMQPValue {
    AMQPValue::LongInt(value)
}

/// Names become parts of names on the broker, which takes 255 bytes.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=100).contains(&name.len()) && name.bytes().all(good) {
        return Ok(());
    }
    Err(Error::Queue {
        what: format!("name a queue '{}'", name.escape_debug()),
        text: "a name has 1 to 100 letters, digits, '-', '_' and '.'".into(),
        kind: Kind::Permanent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_waits_long_enough() {
        let topology = Topology::new("v.tasks", 1);
        let waits = |ms: u64| topology.delay(Duration::from_millis(ms));
        assert_eq!(waits(0), "v.tasks.retry.1s");
        assert_eq!(waits(1000), "v.tasks.retry.1s");
        assert_eq!(waits(1001), "v.tasks.retry.5s");
        assert_eq!(waits(u64::MAX), "v.tasks.retry.600s");
    }

    #[test]
    fn names_are_checked() {
        assert!(check_name("voxage-1.a_b").is_ok());
        for name in ["", "a b", "a/b", "é", &"a".repeat(101)] {
            assert!(check_name(name).is_err(), "'{name}' was taken");
        }
    }
}
