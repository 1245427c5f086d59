//! From planned to complete: waits for the shards of a data set, and publishes again what
//! nobody has.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tracing::{info, warn};
use voxage_contract::{Beat, FeatureSpec, Name, ShardId, Task};
use voxage_transport::{AmqpQueue, DeadLetter};

use super::House;
use crate::Result;
use crate::dispatch::Missing;
use crate::register::Register;

/// Looks at a data set may take at most this share of the time between them.
const LOOK_SHARE: u32 = 10;
const LEAST_PAUSE: Duration = Duration::from_millis(500);
const MOST_PAUSE: Duration = Duration::from_secs(30);

/// Nobody is at work although shards are missing: after this long their tasks are lost.
/// Doubled each time, for tasks that nobody can do.
const LEAST_PATIENCE: Duration = Duration::from_secs(10);
const MOST_PATIENCE: Duration = Duration::from_secs(3600);

impl House {
    /// Publishes what is owed, waits until every shard is there, and publishes anew what
    /// nobody has; false if something was submitted or cancelled meanwhile.
    pub(super) async fn await_shards(
        &self,
        dataset: &Name,
        spec: &FeatureSpec,
        register: &Register,
        owed: &mut HashSet<ShardId>,
    ) -> Result<bool> {
        let mut missing = Missing::find(&*self.store, dataset, spec).await?;
        if !owed.is_empty() {
            let start = Instant::now();
            missing.publish(&*self.store, |b| self.lane(b), |id| owed.contains(id)).await?;
            info!(tasks = owed.len(), seconds = start.elapsed().as_secs_f64(), "dispatched");
            owed.clear();
        }
        let (mut patience, mut idle_since) = (LEAST_PATIENCE, None);
        loop {
            if missing.shards() == 0 {
                return Ok(true);
            }
            let start = Instant::now();
            if missing.look(&*self.store).await? > 0 {
                (patience, idle_since) = (LEAST_PATIENCE, None);
                continue;
            }
            if Register::read(&*self.store, dataset).await? != *register {
                return Ok(false);
            }
            let held = self.held();
            let mut idle = !missing.any(|id| held.contains(id.as_str()));
            for lane in &self.lanes {
                idle = idle && lane.depth().await?.ready == 0;
            }
            let since = idle.then(|| *idle_since.get_or_insert(start));
            idle_since = since;
            // One after the other, so that it is done once.
            if since.is_some_and(|since| since.elapsed() > patience * (1 + self.rank())) {
                warn!(
                    shards = missing.shards(),
                    "their tasks are lost or put aside: published again"
                );
                self.drop_letters(dataset).await?;
                missing.publish(&*self.store, |b| self.lane(b), |_| true).await?;
                (patience, idle_since) = ((2 * patience).min(MOST_PATIENCE), None);
            }
            let pause = (start.elapsed() * LOOK_SHARE).clamp(LEAST_PAUSE, MOST_PAUSE);
            tokio::time::sleep(pause).await;
        }
    }

    /// Drops the dead letters of a data set: their tasks are done, or about to be published
    /// again.
    pub(super) async fn drop_letters(&self, dataset: &Name) -> Result<()> {
        for letters in self.lanes.each_ref().map(AmqpQueue::dead_letters) {
            if letters.count().await? > 0 {
                let of_it = |letter: &DeadLetter| {
                    let task = Task::read(&letter.payload);
                    task.is_ok_and(|(task, _)| task.dataset == dataset.as_str())
                };
                letters.discard(of_it).await?;
            }
        }
        Ok(())
    }

    /// Coordinators whose names come before this one's.
    fn rank(&self) -> u32 {
        let others = self.company.now();
        let before = |beat: &&Beat| beat.role == "coordinator" && beat.process < self.process;
        others.iter().filter(before).count() as u32
    }

    /// The shards that workers have in hand.
    fn held(&self) -> HashSet<String> {
        self.company.now().into_iter().flat_map(|beat| beat.shards).collect()
    }
}
