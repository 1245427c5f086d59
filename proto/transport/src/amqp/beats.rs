//! Beats: short-lived news to whoever listens now. None is kept, none is waited for.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, ExchangeKind};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::debug;

use crate::Result;

use super::feed::{Live, Source, messages};
use super::link::{Link, answered};

/// Beats that wait in this process to be sent.
const OUTBOX: usize = 256;

/// Beats that wait at the broker for one listener.
const INBOX: i32 = 10_000;

/// After a failure beats are dropped for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// Publishes and listens to beats.
#[derive(Debug)]
pub(crate) struct Beats {
    link: Arc<Link>,
    exchange: String,
    outbox: mpsc::Sender<Bytes>,
}

impl Beats {
    pub(crate) fn new(link: Arc<Link>, name: &str) -> Self {
        let exchange = format!("{name}.beats");
        let (outbox, beats) = mpsc::channel(OUTBOX);
        tokio::spawn(send(Arc::clone(&link), exchange.clone(), beats));
        Self { link, exchange, outbox }
    }

    pub(crate) fn publish(&self, beat: Bytes) {
        if self.outbox.try_send(beat).is_err() {
            debug!("a beat is dropped: the broker does not keep up");
        }
    }

    pub(crate) async fn listen(&self) -> Result<BoxStream<'static, Bytes>> {
        let ear = Ear { link: Arc::clone(&self.link), exchange: self.exchange.clone() };
        let messages = messages(Arc::clone(&self.link), ear).await?;
        Ok(messages.filter_map(|message| async { Some(Bytes::from(message.ok()?.0.data)) }).boxed())
    }
}

/// Sends what is in the outbox until its other end or the link is closed.
async fn send(link: Arc<Link>, exchange: String, mut beats: mpsc::Receiver<Bytes>) {
    let mut channel = None;
    loop {
        let beat = tokio::select! {
            () = link.closed() => return,
            beat = beats.recv() => beat,
        };
        let Some(beat) = beat else { return };
        if let Err(error) = send_one(&link, &exchange, &mut channel, &beat).await {
            debug!(%error, "beats are dropped");
            channel = None;
            sleep(PAUSE).await;
            while beats.try_recv().is_ok() {}
        }
    }
}

async fn send_one(
    link: &Link,
    exchange: &str,
    channel: &mut Option<Channel>,
    beat: &[u8],
) -> Result<()> {
    let live = match channel.take().filter(|live| live.status().connected()) {
        Some(live) => live,
        None => open(link, exchange).await?,
    };
    let what = "publish a beat";
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let publish = live.basic_publish(exchange.into(), "".into(), options, beat, properties);
    answered(what, publish).await?;
    *channel = Some(live);
    Ok(())
}

/// A channel to a broker that has the exchange.
async fn open(link: &Link, exchange: &str) -> Result<Channel> {
    let channel = link.channel().await?;
    let what = format!("make the exchange '{exchange}' on the broker");
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let (kind, arguments) = (ExchangeKind::Fanout, FieldTable::default());
    answered(&what, channel.exchange_declare(exchange.into(), kind, options, arguments)).await?;
    Ok(channel)
}

/// The beats of an exchange, by a queue of the listener's own.
struct Ear {
    link: Arc<Link>,
    exchange: String,
}

#[async_trait]
impl Source for Ear {
    async fn subscribe(&self) -> Result<Live> {
        let exchange = self.exchange.as_str();
        let channel = open(&self.link, exchange).await?;
        let what = format!("listen to '{exchange}'");
        let consume = async {
            let own =
                QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
            let mut bound = FieldTable::default();
            bound.insert("x-max-length".into(), AMQPValue::LongInt(INBOX));
            bound.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
            let queue = channel.queue_declare("".into(), own, bound).await?.name().clone();
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            channel
                .queue_bind(queue.clone(), exchange.into(), "".into(), options, none.clone())
                .await?;
            let unsettled = BasicConsumeOptions { no_ack: true, ..Default::default() };
            channel.basic_consume(queue, "".into(), unsettled, none).await
        };
        let consumer = answered(&what, consume).await?;
        Ok(Live::new(channel, consumer, false))
    }

    /// The queue belongs to the connection: they go together.
    async fn forgotten(&self) -> bool {
        false
    }
}
