//! Who else is at work: signs of life, sent once a second and heard by all.
//!
//! Always holds: nothing here is needed for a right result. A beat that is lost costs at
//! most work done twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use prost::Message as _;
use tokio::sync::Notify;
use voxage_contract::Beat;
use voxage_transport::Amqp;

use crate::Result;

/// Between two beats of a process.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);

/// A process that was not heard for this long is gone.
const GONE: Duration = Duration::from_secs(5);

/// The processes that were heard of late. Clones hear the same.
#[derive(Debug, Clone, Default)]
pub struct Company(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    heard: Mutex<HashMap<String, (Beat, Instant)>>,
    news: Notify,
}

impl Company {
    /// Starts to listen; ends with the connection.
    ///
    /// # Errors
    /// If the broker fails.
    pub async fn join(amqp: &Amqp) -> Result<Self> {
        let company = Self::default();
        let (inner, mut beats) = (Arc::clone(&company.0), amqp.beats().await?);
        tokio::spawn(async move {
            while let Some(bytes) = beats.next().await {
                // Another version's beat that cannot be read is not missed.
                if let Ok(beat) = Beat::decode(bytes) {
                    inner.hear(beat);
                }
            }
        });
        Ok(company)
    }

    /// Those who are alive.
    #[must_use]
    pub fn now(&self) -> Vec<Beat> {
        let mut heard = self.0.lock();
        heard.retain(|_, (_, at)| at.elapsed() < GONE);
        heard.values().map(|(beat, _)| beat.clone()).collect()
    }

    /// Returns when something was submitted.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Beat, Instant)>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, beat: Beat) {
        if beat.role == "submit" {
            self.news.notify_one();
        } else {
            self.lock().insert(beat.process.clone(), (beat, Instant::now()));
        }
    }
}
