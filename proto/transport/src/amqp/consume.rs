//! Consuming: a stream of deliveries that outlives connections, brokers and their data.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, stream};
use lapin::message::Delivery as Message;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tracing::warn;
use voxage_contract::Kind;

use crate::Result;
use crate::queue::{Deliveries, Delivery};

use super::AmqpQueue;
use super::backoff::Backoff;
use super::delivery::Held;
use super::error::{failed, timed_out};
use super::link::{ANSWER, Link};

/// How to start to consume on a new channel, after making what it needs.
pub(crate) type Subscribe = Box<dyn Fn() -> BoxFuture<'static, Result<Live>> + Send>;

/// Starts to consume a queue.
pub(crate) async fn deliveries(queue: AmqpQueue, prefetch: usize) -> Result<Deliveries> {
    let prefetch = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
    let link = Arc::clone(&queue.link);
    let subscribed = queue.clone();
    let subscribe: Subscribe = Box::new(move || subscribe(subscribed.clone(), prefetch).boxed());
    let messages = messages(link, subscribe).await?;
    Ok(messages
        .map(move |message| {
            let (message, channel) = message?;
            Ok(Box::new(Held::new(message, channel, queue.clone())) as Box<dyn Delivery>)
        })
        .boxed())
}

async fn subscribe(queue: AmqpQueue, prefetch: u16) -> Result<Live> {
    queue.topology.declare(&queue.link).await?;
    let channel = queue.link.channel().await?;
    let name = queue.topology.queue();
    let what = format!("consume the queue '{name}'");
    let consume = async {
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        channel.basic_consume(name.into(), "".into(), options, arguments).await
    };
    let consumer = timeout(ANSWER, consume)
        .await
        .map_err(|_| timed_out(&what))?
        .map_err(|error| failed(&what, &error))?;
    Ok(Live { channel, consumer: Some(consumer), settles: true })
}

/// A consumer that the broker knows of. When it is dropped, the broker gets back what was
/// sent ahead; what is in somebody's hands may still be settled.
pub(crate) struct Live {
    pub(crate) channel: Channel,
    pub(crate) consumer: Option<Consumer>,
    /// Whether the broker waits for each message to be settled.
    pub(crate) settles: bool,
}

impl Live {
    /// The next message; an error if the broker or the network has ended it.
    async fn next(&mut self) -> std::result::Result<Message, String> {
        let Some(consumer) = &mut self.consumer else { return Err("cancelled".into()) };
        match consumer.next().await {
            Some(Ok(message)) => Ok(message),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the broker has cancelled the consumer".into()),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let (Some(mut consumer), Ok(runtime)) = (self.consumer.take(), Handle::try_current())
        else {
            return;
        };
        if !self.settles || !self.channel.status().connected() {
            return;
        }
        let channel = self.channel.clone();
        runtime.spawn(async move {
            let cancel = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
            // If it does not answer, the connection is lost, and all come again anyway.
            let _ = timeout(ANSWER, cancel).await;
            while let Some(Some(Ok(message))) = consumer.next().now_or_never() {
                let requeue = BasicNackOptions { requeue: true, ..Default::default() };
                let _ = message.acker.nack(requeue).await;
            }
        });
    }
}

struct Feed {
    link: Arc<Link>,
    subscribe: Subscribe,
    live: Option<Live>,
    backoff: Backoff,
}

/// Messages for ever, each with the channel on which it is settled: subscribes again
/// whenever the broker, the network or the queue has gone. Ends when the link is closed,
/// or with an error if the broker has the queue with other settings or forbids it.
pub(crate) async fn messages(
    link: Arc<Link>,
    subscribe: Subscribe,
) -> Result<BoxStream<'static, Result<(Message, Channel)>>> {
    let live = match subscribe().await {
        Ok(live) => Some(live),
        Err(error) if error.kind() == Kind::Transient => {
            warn!(%error, "cannot consume yet");
            None
        }
        Err(error) => return Err(error),
    };
    let feed = Feed { link, subscribe, live, backoff: Backoff::new() };
    Ok(stream::unfold(Some(feed), |feed| async move {
        let mut feed = feed?;
        let link = Arc::clone(&feed.link);
        tokio::select! {
            biased;
            () = link.closed() => None,
            next = feed.next() => {
                let open = next.is_ok();
                Some((next, open.then_some(feed)))
            }
        }
    })
    .boxed())
}

impl Feed {
    async fn next(&mut self) -> Result<(Message, Channel)> {
        loop {
            let Some(live) = &mut self.live else {
                self.again().await?;
                continue;
            };
            match live.next().await {
                Ok(message) => {
                    self.backoff = Backoff::new();
                    return Ok((message, live.channel.clone()));
                }
                Err(why) => {
                    self.live = None;
                    self.pause(&why).await;
                }
            }
        }
    }

    /// Tries once to subscribe again. What a broker refuses that takes our connection, it
    /// refuses for good; what refuses the connection may still be on its way up.
    async fn again(&mut self) -> Result<()> {
        let error = match self.link.channel().await {
            Err(error) => error,
            Ok(_) => match (self.subscribe)().await {
                Ok(live) => {
                    self.live = Some(live);
                    return Ok(());
                }
                Err(error) if error.kind() == Kind::Transient => error,
                Err(error) => return Err(error),
            },
        };
        self.pause(&error.to_string()).await;
        Ok(())
    }

    async fn pause(&mut self, why: &str) {
        let pause = self.backoff.pause();
        warn!(why, ?pause, "consumer interrupted, will consume again");
        sleep(pause).await;
    }
}
