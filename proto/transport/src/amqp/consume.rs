//! Consuming a queue: deliveries that are settled one by one.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use crate::Result;
use crate::queue::{Deliveries, Delivery};

use super::AmqpQueue;
use super::delivery::Held;
use super::feed::{Live, Source, messages};
use super::link::answered;

/// A queue and how many of its messages one consumer holds at a time.
struct Window {
    queue: AmqpQueue,
    prefetch: u16,
}

/// Starts to consume a queue.
pub(crate) async fn deliveries(queue: AmqpQueue, prefetch: usize) -> Result<Deliveries> {
    let prefetch = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
    let window = Window { queue: queue.clone(), prefetch };
    let messages = messages(Arc::clone(&queue.link), window).await?;
    Ok(messages
        .map(move |message| {
            let (message, channel) = message?;
            Ok(Box::new(Held::new(message, channel, queue.clone())) as Box<dyn Delivery>)
        })
        .boxed())
}

#[async_trait]
impl Source for Window {
    async fn subscribe(&self) -> Result<Live> {
        self.queue.topology.declare(&self.queue.link).await?;
        let channel = self.queue.link.channel().await?;
        let name = self.queue.topology.queue();
        let what = format!("consume the queue '{name}'");
        let consume = async {
            channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
            let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
            channel.basic_consume(name.into(), "".into(), options, none).await
        };
        let consumer = answered(&what, consume).await?;
        Ok(Live::new(channel, consumer, true))
    }

    async fn forgotten(&self) -> bool {
        let depth = self.queue.depth().await;
        depth.is_ok_and(|depth| depth.ready > 0 || depth.consumers == 0)
    }
}
