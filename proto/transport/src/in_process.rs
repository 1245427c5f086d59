//! A queue within one process: for the embedded mode, whose truth is the store.
//!
//! Always holds: at most `capacity` payloads are held, waiting or unsettled, so a
//! publisher that runs ahead waits. Everything is lost with the process, which loses
//! only time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::Result;
use crate::queue::{DeadLetter, Deliveries, Delivery, Queue};

/// A queue within one process. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct InProcess(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    ready: Notify,
    space: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Message>,
    dead: Vec<DeadLetter>,
}

#[derive(Debug)]
struct Message {
    payload: Bytes,
    attempt: u32,
}

impl InProcess {
    /// An empty queue for at most `capacity` payloads.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            ready: Notify::new(),
            space: Semaphore::new(capacity),
        }))
    }

    /// What was put aside so far.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.lock().dead.clone()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, message: Message) {
        self.lock().waiting.push_back(message);
        self.ready.notify_one();
    }

    async fn take(&self) -> Message {
        loop {
            {
                let mut state = self.lock();
                if let Some(message) = state.waiting.pop_front() {
                    if !state.waiting.is_empty() {
                        // Several offers may have woken one consumer only.
                        self.ready.notify_one();
                    }
                    return message;
                }
            }
            self.ready.notified().await;
        }
    }
}

#[async_trait]
impl Queue for InProcess {
    async fn publish(&self, payload: Bytes) -> Result<()> {
        if let Ok(space) = self.0.space.acquire().await {
            space.forget();
        }
        self.0.offer(Message { payload, attempt: 1 });
        Ok(())
    }

    async fn consume(&self, prefetch: usize) -> Result<Deliveries> {
        let (inner, window) = (Arc::clone(&self.0), Arc::new(Semaphore::new(prefetch)));
        Ok(stream::unfold((inner, window), |(inner, window)| async move {
            let slot = Arc::clone(&window).acquire_owned().await.ok()?;
            let message = inner.take().await;
            let held = Held { message: Some(message), inner: Arc::clone(&inner), _slot: slot };
            Some((Ok(Box::new(held) as Box<dyn Delivery>), (inner, window)))
        })
        .boxed())
    }
}

/// A message in the hands of a consumer; goes back when dropped unsettled.
#[derive(Debug)]
struct Held {
    message: Option<Message>,
    inner: Arc<Inner>,
    _slot: OwnedSemaphorePermit,
}

impl Held {
    fn settle(&mut self) -> Option<Message> {
        let message = self.message.take();
        self.inner.space.add_permits(1);
        message
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            self.inner.offer(Message { attempt: message.attempt + 1, ..message });
        }
    }
}

#[async_trait]
impl Delivery for Held {
    fn payload(&self) -> &Bytes {
        static EMPTY: Bytes = Bytes::new();
        self.message.as_ref().map_or(&EMPTY, |message| &message.payload)
    }

    fn attempt(&self) -> u32 {
        self.message.as_ref().map_or(0, |message| message.attempt)
    }

    async fn ack(mut self: Box<Self>) -> Result<()> {
        self.settle();
        Ok(())
    }

    async fn retry(mut self: Box<Self>, after: Duration) -> Result<()> {
        if let Some(message) = self.message.take() {
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                inner.offer(Message { attempt: message.attempt + 1, ..message });
            });
        }
        Ok(())
    }

    async fn dead_letter(mut self: Box<Self>, reason: &str) -> Result<()> {
        if let Some(message) = self.settle() {
            let dead = DeadLetter {
                payload: message.payload,
                reason: reason.to_owned(),
                at: Some(SystemTime::now()),
            };
            self.inner.lock().dead.push(dead);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn conforms() {
        conformance::queue(Arc::new(InProcess::new(1000))).await;
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_publisher_wait() {
        let queue = InProcess::new(1);
        queue.publish(Bytes::from_static(b"1")).await.unwrap();
        let second = queue.publish(Bytes::from_static(b"2"));
        tokio::pin!(second);
        let pause = Duration::from_millis(50);
        assert!(tokio::time::timeout(pause, &mut second).await.is_err());
        let mut deliveries = queue.consume(1).await.unwrap();
        deliveries.next().await.unwrap().unwrap().ack().await.unwrap();
        second.await.unwrap();
    }

    #[tokio::test]
    async fn dead_letters_keep_their_reason() {
        let queue = InProcess::new(1);
        queue.publish(Bytes::from_static(b"bad")).await.unwrap();
        let delivery = queue.consume(1).await.unwrap().next().await.unwrap().unwrap();
        delivery.dead_letter("poison").await.unwrap();
        let dead = queue.dead_letters();
        assert_eq!(dead.len(), 1);
        assert_eq!((&dead[0].payload[..], &*dead[0].reason), (&b"bad"[..], "poison"));
    }
}
