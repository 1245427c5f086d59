//! What was put aside, for people: look at it, hand it out again, drop it.
//!
//! Always holds: a dead letter is only held while it is looked at, and leaves its queue
//! after it is back among the tasks, confirmed. If this process dies meanwhile, some may
//! be both. Two who look at the same time each see a part.

use std::time::Duration;

use lapin::message::Delivery as Message;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel};
use tokio::time::{Instant, sleep};

use crate::Result;
use crate::queue::DeadLetter;

use super::AmqpQueue;
use super::delivery::dead_letter;
use super::link::answered;

/// The longest wait until what was looked at is back. Another may have taken it meanwhile.
const BACK: Duration = Duration::from_secs(2);

/// The dead letters of a queue.
#[derive(Debug, Clone)]
pub struct DeadLetters(AmqpQueue);

impl DeadLetters {
    pub(crate) fn new(queue: AmqpQueue) -> Self {
        Self(queue)
    }

    /// How many there are.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub async fn count(&self) -> Result<u32> {
        Ok(self.0.topology.depth(&self.0.link, self.0.topology.dead()).await?.0)
    }

    /// The first of them, at most `limit`; they stay where they are.
    ///
    /// # Errors
    /// If the broker fails.
    pub async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>> {
        let mut shelf = self.open().await?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(message) = shelf.take().await?
        {
            found.push(dead_letter(message));
        }
        shelf.put_back().await?;
        Ok(found)
    }

    /// Hands the chosen ones out again, as if they were new; how many they were.
    ///
    /// # Errors
    /// If the broker fails; some may have been handed out by then.
    pub async fn requeue(
        &self,
        mut chosen: impl FnMut(&DeadLetter) -> bool + Send,
    ) -> Result<usize> {
        let mut shelf = self.open().await?;
        let mut requeued = 0;
        for _ in 0..shelf.count {
            let Some(message) = shelf.take().await? else { break };
            let acker = message.acker.clone();
            let letter = dead_letter(message);
            if chosen(&letter) {
                let queue = self.0.topology.queue();
                self.0.send(queue, &letter.payload, FieldTable::default()).await?;
                shelf.remove(&acker).await?;
                requeued += 1;
            }
        }
        shelf.put_back().await?;
        Ok(requeued)
    }

    /// Deletes the chosen ones for ever; how many they were.
    ///
    /// # Errors
    /// If the broker fails; some may be deleted by then.
    pub async fn discard(
        &self,
        mut chosen: impl FnMut(&DeadLetter) -> bool + Send,
    ) -> Result<usize> {
        let mut shelf = self.open().await?;
        let mut dropped = 0;
        for _ in 0..shelf.count {
            let Some(message) = shelf.take().await? else { break };
            let acker = message.acker.clone();
            if chosen(&dead_letter(message)) {
                shelf.remove(&acker).await?;
                dropped += 1;
            }
        }
        shelf.put_back().await?;
        Ok(dropped)
    }

    async fn open(&self) -> Result<Shelf<'_>> {
        let count = self.count().await?;
        let channel = self.0.link.channel().await?;
        Ok(Shelf { channel, letters: self, count, held: 0 })
    }
}

/// The dead letters' queue while someone looks through it. What was taken and not removed
/// goes back at the end, or with the channel.
struct Shelf<'a> {
    channel: Channel,
    letters: &'a DeadLetters,
    /// How many there were at the beginning.
    count: u32,
    /// How many were taken and not removed.
    held: u32,
}

impl Shelf<'_> {
    /// The next one, held.
    async fn take(&mut self) -> Result<Option<Message>> {
        let get = self.channel.basic_get(self.queue().into(), BasicGetOptions::default());
        let got = self.answer(get).await?;
        self.held += u32::from(got.is_some());
        Ok(got.map(|got| got.delivery))
    }

    async fn remove(&mut self, acker: &Acker) -> Result<()> {
        self.answer(acker.ack(BasicAckOptions::default())).await?;
        self.held -= 1;
        Ok(())
    }

    /// Puts back all that are held.
    async fn put_back(self) -> Result<()> {
        let all = BasicNackOptions { multiple: true, requeue: true };
        self.answer(self.channel.basic_nack(0, all)).await?;
        self.answer(self.channel.close(200, "seen".into())).await?;
        // The broker answers before they are back: whoever looks next shall find them.
        let end = Instant::now() + BACK;
        while self.letters.count().await? < self.held && Instant::now() < end {
            sleep(BACK / 100).await;
        }
        Ok(())
    }

    fn queue(&self) -> &str {
        self.letters.0.topology.dead()
    }

    async fn answer<T>(&self, call: impl Future<Output = lapin::Result<T>>) -> Result<T> {
        let what = format!("look through the queue '{}'", self.queue());
        answered(&what, call).await
    }
}
