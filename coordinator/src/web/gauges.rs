//! What Prometheus is told of the whole: by every coordinator alike, so that none is needed.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tracing::warn;
use voxage_contract::{Name, keys};

use super::Site;
use super::read::now;
use crate::scene::Looked;
use crate::status::{State, Status};
use crate::{Result, schedule};

/// Between two looks.
pub const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Tells how the whole is, again and again.
pub async fn tell(site: Arc<Site>) {
    loop {
        if let Err(error) = site.gauges().await {
            warn!(%error, "no look for the metrics");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Site {
    async fn gauges(&self) -> Result<()> {
        let overview = self.overview().await?;
        broker(overview.queue.as_ref());
        let trouble = |dataset: &Name, is: bool| {
            gauge!("voxage_dataset_trouble", "dataset" => dataset.to_string())
                .set(f64::from(u8::from(is)));
        };
        for dataset in overview.damaged.keys() {
            trouble(dataset, true);
        }
        for status in &overview.datasets {
            let troubles = overview.queue.as_ref().map(|queue| &queue.troubles);
            let is = troubles.is_some_and(|all| all.contains_key(status.name.as_str()));
            trouble(&status.name, is);
        }
        for status in &overview.datasets {
            self.dataset(status, overview.at_unix_s).await?;
        }
        self.schedules().await
    }

    async fn dataset(&self, status: &Status, now: f64) -> Result<()> {
        let name = status.name.to_string();
        for (state, n) in [("row", status.rows), ("reject", status.rejects), ("left", status.left)]
        {
            gauge!("voxage_dataset_recordings", "dataset" => name.clone(), "state" => state)
                .set(n as f64);
        }
        let open = |state| state == State::Submitted || state == State::Running;
        let oldest = status.batches.iter().find(|batch| open(batch.state));
        let age_s = match oldest {
            Some(batch) => {
                let key = keys::batch(&status.name, batch.number);
                now - self.store.head(&key).await?.changed_unix_s as f64
            }
            None => 0.0,
        };
        gauge!("voxage_oldest_batch_age_seconds", "dataset" => name).set(age_s.max(0.0));
        Ok(())
    }

    async fn schedules(&self) -> Result<()> {
        for standing in schedule::schedules(&*self.store).await? {
            let firings = schedule::recent(&*self.store, &standing.name).await?;
            let name = || standing.name.to_string();
            let yes = |yes: bool| f64::from(u8::from(yes));
            let at_work = firings.iter().find(|one| one.end.is_none() && !one.failed());
            let waiting_s = at_work.map_or(0.0, |one| (now().0 - one.due.0).max(0) as f64);
            gauge!("voxage_schedule_waiting_seconds", "schedule" => name()).set(waiting_s);
            let failed = firings.iter().any(|one| one.end.is_none() && one.failed());
            gauge!("voxage_schedule_failed", "schedule" => name()).set(yes(failed));
            let missed = firings.last().map_or(0, |newest| newest.claim.missed);
            gauge!("voxage_schedule_missed", "schedule" => name()).set(missed as f64);
            let taken_in = firings.iter().rev().find_map(|one| one.taken_in.as_ref());
            let bad = taken_in.map_or(0, |entry| entry.done.bad.len());
            gauge!("voxage_schedule_bad_manifests", "schedule" => name()).set(bad as f64);
            let paused = standing.schedule.state == schedule::State::Paused;
            gauge!("voxage_schedule_paused", "schedule" => name()).set(yes(paused));
        }
        Ok(())
    }
}

/// What is at the broker; nobody is heard where it cannot be asked.
fn broker(looked: Option<&Looked>) {
    for (name, queue) in looked.iter().flat_map(|looked| &looked.queues) {
        for (state, n) in [("ready", queue.ready), ("dead", queue.dead)] {
            gauge!("voxage_queue_messages", "queue" => *name, "state" => state).set(n);
        }
        gauge!("voxage_queue_consumers", "queue" => *name).set(queue.consumers);
    }
    let count = |of: fn(&Looked) -> usize| looked.map_or(0, of) as f64;
    for (role, n) in [
        ("coordinator", count(|looked| looked.coordinators.len())),
        ("feature-worker", count(|looked| looked.workers.len())),
        ("trainer", count(|looked| looked.trainers.len())),
        ("predictor", count(|looked| looked.predictors.len())),
    ] {
        gauge!("voxage_processes", "role" => role).set(n);
    }
}
