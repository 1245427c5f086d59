//! Messages for ever: a subscription that is made again whenever the broker, the network
//! or the queue has gone. Whoever listens sees nothing of that but a pause.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, stream};
use lapin::message::Delivery as Message;
use lapin::options::{BasicCancelOptions, BasicNackOptions};
use lapin::{Channel, Consumer};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tracing::warn;
use voxage_contract::Kind;

use crate::Result;

use super::backoff::Backoff;
use super::link::{ANSWER, Link, Silent};

/// After so long without a message a consumer asks whether there are none.
const IDLE: Duration = Duration::from_secs(15);

/// What is subscribed to.
#[async_trait]
pub(crate) trait Source: Send + Sync + 'static {
    /// Subscribes, on a channel of its own, after making what that needs.
    async fn subscribe(&self) -> Result<Live>;

    /// Whether the broker has forgotten the consumer, who has nothing in hand.
    async fn forgotten(&self) -> bool;
}

/// A consumer that the broker knows of. When it is dropped, the broker gets back what was
/// sent ahead; what is in somebody's hands may still be settled.
pub(crate) struct Live {
    /// Shared with the messages that are in somebody's hands.
    channel: Arc<Channel>,
    consumer: Option<Consumer>,
    settles: bool,
}

impl Live {
    /// A consumer on a channel; `settles` if the broker waits for each message to be
    /// settled.
    pub(crate) fn new(channel: Channel, consumer: Consumer, settles: bool) -> Self {
        Self { channel: Arc::new(channel), consumer: Some(consumer), settles }
    }

    /// The next message, or why there will be none.
    async fn next(&mut self) -> Result<Message, String> {
        let Some(consumer) = &mut self.consumer else { return Err("cancelled".into()) };
        match consumer.next().await {
            Some(Ok(message)) => Ok(message),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the broker has cancelled the consumer".into()),
        }
    }

    fn is_nothing_in_hand(&self) -> bool {
        Arc::strong_count(&self.channel) == 1
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
        let channel = Arc::clone(&self.channel);
        let mut end = Box::pin(async move {
            let cancel = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
            // If it does not answer, the connection is lost, and all come again anyway.
            let _ = timeout(ANSWER, cancel).await;
            while let Some(Some(Ok(message))) = consumer.next().now_or_never() {
                let requeue = BasicNackOptions { requeue: true, ..Default::default() };
                let _ = message.acker.nack(requeue).await;
            }
        });
        // The first poll tells the broker before it learns anything newer from this process:
        // what is published next is not sent to a consumer that is gone.
        if (&mut end).now_or_never().is_none() {
            runtime.spawn(end);
        }
    }
}

/// A message with the channel on which it is settled.
pub(crate) type Brought = (Message, Arc<Channel>);

/// The messages of a source. Ends when the link is closed, or with an error if the broker
/// has the queue with other settings or forbids it.
pub(crate) async fn messages(
    link: Arc<Link>,
    source: impl Source,
) -> Result<BoxStream<'static, Result<Brought>>> {
    let live = match source.subscribe().await {
        Ok(live) => Some(live),
        Err(error) if error.kind() == Kind::Transient => {
            warn!(%error, "cannot consume yet");
            None
        }
        Err(error) => return Err(error),
    };
    let silent = live.is_none().then(|| Silent::on(&link));
    let feed = Feed { link, source, live, silent, backoff: Backoff::new() };
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

struct Feed<S> {
    link: Arc<Link>,
    source: S,
    live: Option<Live>,
    /// Held while there is no live consumer.
    silent: Option<Silent>,
    backoff: Backoff,
}

impl<S: Source> Feed<S> {
    async fn next(&mut self) -> Result<Brought> {
        loop {
            let Some(live) = &mut self.live else {
                self.again().await?;
                continue;
            };
            match timeout(IDLE, live.next()).await {
                Ok(Ok(message)) => {
                    self.backoff = Backoff::new();
                    return Ok((message, Arc::clone(&live.channel)));
                }
                Ok(Err(why)) => self.interrupted(&why).await,
                // A quorum queue that is deleted and made again at once forgets its
                // consumers without a word.
                Err(_) if live.is_nothing_in_hand() && self.source.forgotten().await => {
                    self.interrupted("the broker has forgotten the consumer").await;
                }
                Err(_) => {}
            }
        }
    }

    async fn interrupted(&mut self, why: &str) {
        self.live = None;
        self.silent.get_or_insert_with(|| Silent::on(&self.link));
        let pause = self.backoff.pause();
        warn!(why, ?pause, "consumer interrupted, will consume again");
        sleep(pause).await;
    }

    /// Tries once to subscribe again.
    async fn again(&mut self) -> Result<()> {
        match self.source.subscribe().await {
            Ok(live) => (self.live, self.silent) = (Some(live), None),
            Err(error) if error.kind() == Kind::Transient => {
                self.interrupted(&error.to_string()).await;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
