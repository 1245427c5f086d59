//! The coordinator as a process: plans what is submitted, publishes tasks, seals what is
//! complete, and publishes again what was lost.
//!
//! Always holds: any number of them may run and any may die. There is no leader: each
//! looks at the store and does what is missing; they avoid doing the same at the same
//! time, but a result never depends on it.

mod shards;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, info, info_span, warn};
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{Batch, BatchId, Beat, Kind, Name, ShardId};
use voxage_transport::source::Sources;
use voxage_transport::{Amqp, AmqpQueue, Queue, Store, trace};

use crate::company::{BEAT_EVERY, Company};
use crate::dispatch::{LANES, publish};
use crate::plan::Planner;
use crate::register::{Register, datasets};
use crate::schedule::stages::Work;
use crate::schedule::{self, Night};
use crate::trainings::Trainings;
use crate::{Error, Result, seal, submit};

/// Between two looks for work, unless a submission says that there is some.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the name of a schedule follows among the troubles: no data set's name has a blank.
const SCHEDULE: &str = "schedule ";

/// Between two looks for trainings that were lost.
const TRAININGS_EVERY: Duration = Duration::from_secs(30);

/// Between a claim and the planning: long enough to hear who else claims.
const CLAIM: Duration = Duration::from_millis(1500);

/// Tasks that are published while their batch is still planned, so that workers have
/// something to do. The others wait for its end: planning must not wait for a full queue.
const EAGER_TASKS: usize = 1000;

/// Until a data set that was found complete is looked at again: somebody may have deleted
/// a shard.
const SETTLED: Duration = Duration::from_secs(600);

/// A coordinator.
#[derive(Debug)]
pub struct Coordinator {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Where tasks go.
    pub amqp: Amqp,
    /// The audio that it may look at.
    pub sources: Sources,
    /// Its name among the processes; no other has it.
    pub process: String,
}

/// What the jobs of one coordinator share.
struct House {
    store: Arc<dyn Store>,
    sources: Sources,
    lanes: [AmqpQueue; 2],
    company: Company,
    process: String,
    /// One batch is planned at a time: planning takes memory.
    planning: Semaphore,
    /// The data set that is planned here.
    claim: Mutex<Option<Name>>,
    /// Data sets that were found complete, as they were then, and when.
    settled: Mutex<HashMap<Name, (Register, Instant)>>,
    /// Why data sets do not go on: for people, told by beats.
    troubles: Mutex<BTreeMap<String, String>>,
}

impl Coordinator {
    /// Works until `stop`.
    ///
    /// # Errors
    /// If the store or the queue fails for good: transient failures are waited for.
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        let house = Arc::new(House {
            store: self.store,
            sources: self.sources,
            lanes: [self.amqp.queue(LANES[0]).await?, self.amqp.queue(LANES[1]).await?],
            company: Company::join(&self.amqp).await?,
            process: self.process,
            planning: Semaphore::new(1),
            claim: Mutex::default(),
            settled: Mutex::default(),
            troubles: Mutex::default(),
        });
        info!(process = house.process, "coordinator ready");
        let queue = self.amqp.queue("trainings").await?;
        let mut schedules = std::pin::pin!(house.tend_schedules(queue.clone()));
        let mut trainings = std::pin::pin!(house.tend_trainings(queue));
        let (mut jobs, mut busy) = (JoinSet::new(), HashSet::new());
        let mut beat = tokio::time::interval(BEAT_EVERY);
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = beat.tick() => {
                    self.amqp.publish_beat(house.beat().encode_to_vec().into());
                    continue;
                }
                Some(ended) = jobs.join_next() => {
                    let (dataset, ended): (Name, Result<()>) = ended?;
                    busy.remove(&dataset);
                    let mut troubles = lock(&house.troubles);
                    let before = troubles.remove(dataset.as_str());
                    if let Err(error) = ended {
                        let trouble = error.to_string();
                        // It is tried every few seconds: once is enough to say so.
                        if before.as_ref() != Some(&trouble) {
                            warn!(%dataset, error = trouble, "will be tried again, and again");
                        }
                        troubles.insert(dataset.to_string(), trouble);
                    }
                    continue;
                }
                () = house.company.news() => {}
                () = &mut trainings => continue,
                () = &mut schedules => continue,
                _ = look.tick() => {}
            }
            let found = tokio::select! {
                () = stop.cancelled() => break,
                found = datasets(&*house.store) => found,
            };
            match found {
                Ok(found) => {
                    for dataset in found {
                        if busy.insert(dataset.clone()) {
                            let house = Arc::clone(&house);
                            let span = info_span!("data set", %dataset);
                            jobs.spawn(
                                async move {
                                    let ended = house.tend(&dataset).await;
                                    (dataset, ended)
                                }
                                .instrument(span),
                            );
                        }
                    }
                }
                Err(error) if error.kind() == Kind::Transient => {
                    warn!(%error, "no look at the store");
                }
                Err(error) => return Err(error),
            }
        }
        info!("coordinator stopping");
        // What is cut off is taken up by any coordinator that is there.
        jobs.shutdown().await;
        info!("coordinator stopped");
        Ok(())
    }
}

impl House {
    fn beat(&self) -> Beat {
        let claim = lock(&self.claim).as_ref().map(ToString::to_string);
        Beat {
            version: WIRE_VERSION,
            process: self.process.clone(),
            role: "coordinator".into(),
            dataset: claim.unwrap_or_default(),
            troubles: lock(&self.troubles).clone().into_iter().collect(),
            ..Beat::default()
        }
    }

    /// Sees to it that no training is forgotten, for ever.
    async fn tend_trainings(&self, queue: AmqpQueue) {
        let mut trainings = Trainings::default();
        loop {
            tokio::time::sleep(TRAININGS_EVERY).await;
            if let Err(error) = trainings.tend(&*self.store, &queue, &self.company).await {
                warn!(%error, "no look at the trainings");
            }
        }
    }

    /// Looks after the schedules, for ever.
    async fn tend_schedules(&self, queue: AmqpQueue) {
        let work = Work {
            store: Arc::clone(&self.store),
            trainings: Arc::new(queue),
            sources: self.sources.clone(),
        };
        loop {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = schedule::Instant(since.as_secs() as i64);
            let (store, process) = (&*self.store, self.process.as_str());
            match (Night { store, stages: &work, process, now }).tend().await {
                Ok(found) => {
                    let mut troubles = lock(&self.troubles);
                    troubles.retain(|what, _| !what.starts_with(SCHEDULE));
                    let named = |(name, why): (Name, String)| (format!("{SCHEDULE}{name}"), why);
                    troubles.extend(found.into_iter().map(named));
                }
                Err(error) => warn!(%error, "no look at the schedules"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Brings a data set to its end: everything planned, made and sealed.
    async fn tend(&self, dataset: &Name) -> Result<()> {
        let mut owed = HashSet::new();
        loop {
            let register = Register::read(&*self.store, dataset).await?;
            let before = lock(&self.settled).get(dataset).cloned();
            if before.is_some_and(|(seen, at)| seen == register && at.elapsed() < SETTLED) {
                return Ok(());
            }
            let mut in_the_way = None;
            if let Some(number) = register.next_unplanned() {
                match self.plan(dataset, number, &mut owed).await {
                    Ok(true) => continue,
                    Ok(false) => return Ok(()),
                    Err(error) if error.kind() == Kind::Transient => return Err(error),
                    // Whoever submitted before it need not wait for it.
                    Err(error) => {
                        let batch = BatchId { dataset: dataset.clone(), number };
                        in_the_way = Some(Error::InTheWay { batch, why: error.to_string() });
                    }
                }
            }
            let planned = |number: &u64| in_the_way.is_none() || register.is_planned(*number);
            let Some(newest) = register.standing().rev().find(planned) else {
                self.drop_letters(dataset).await?;
                return in_the_way.map_or(Ok(()), Err);
            };
            let Batch { spec, trace, .. } = submit::read(&*self.store, dataset, newest).await?;
            let following = |span: Span| {
                trace::follow(&span, trace.as_deref());
                span
            };
            if in_the_way.is_none() {
                // All that it takes to go on was just read.
                lock(&self.troubles).remove(dataset.as_str());
            }
            let await_shards = self.await_shards(dataset, &spec, &register, &mut owed);
            if await_shards.instrument(following(info_span!("shards"))).await? {
                let seal = seal::seal_planned(&*self.store, dataset, &spec);
                let (key, sealed) = seal.instrument(following(info_span!("seal"))).await?;
                self.drop_letters(dataset).await?;
                if let Some(error) = in_the_way {
                    return Err(error);
                }
                let before =
                    lock(&self.settled).insert(dataset.clone(), (register.clone(), Instant::now()));
                // A look from time to time is no news.
                if before.is_none_or(|(before, _)| before != register) {
                    info!(key, rows = sealed.rows, rejects = sealed.rejects, "sealed");
                }
                return Ok(());
            }
        }
    }

    /// Plans a batch and publishes its first tasks, the others are `owed`; false if another
    /// coordinator does.
    async fn plan(&self, dataset: &Name, number: u64, owed: &mut HashSet<ShardId>) -> Result<bool> {
        let Ok(_permit) = self.planning.acquire().await else { return Ok(false) };
        if self.others_claim(dataset, |_| true) {
            return Ok(false);
        }
        *lock(&self.claim) = Some(dataset.clone());
        let planned = async {
            tokio::time::sleep(CLAIM).await;
            if self.others_claim(dataset, |other| other < self.process.as_str()) {
                return Ok(false);
            }
            // Someone may have planned it while this one waited.
            let register = Register::read(&*self.store, dataset).await?;
            if register.next_unplanned() == Some(number) {
                let span = info_span!("plan", number);
                let submitted = submit::read(&*self.store, dataset, number).await?;
                trace::follow(&span, submitted.trace.as_deref());
                let plan = self.plan_claimed(dataset, number, &register, owed);
                plan.instrument(span).await?;
            }
            Ok(true)
        };
        let planned = planned.await;
        *lock(&self.claim) = None;
        planned
    }

    /// Whether another coordinator, one of those asked for, plans a data set.
    fn others_claim(&self, dataset: &Name, which: impl Fn(&str) -> bool) -> bool {
        self.company.now().iter().any(|beat| {
            beat.role == "coordinator"
                && beat.dataset == dataset.as_str()
                && beat.process != self.process
                && which(&beat.process)
        })
    }

    async fn plan_claimed(
        &self,
        dataset: &Name,
        number: u64,
        register: &Register,
        owed: &mut HashSet<ShardId>,
    ) -> Result<()> {
        let start = Instant::now();
        let id = BatchId { dataset: dataset.clone(), number };
        let newest = submit::read(&*self.store, dataset, register.newest().unwrap_or(number));
        let spec = newest.await?.spec;
        let mut planner = Planner::open(&*self.store, &self.sources, id.clone(), register).await?;
        let (spec_id, mut published) = (spec.id(), 0);
        while let Some(plan) = planner.next().await? {
            if published < EAGER_TASKS {
                published += plan.groups.len();
                publish(self.lane(planner.batch()), dataset, &spec, plan).await?;
            } else {
                let ids =
                    plan.groups.iter().map(|group| group.shard_id(&plan.audio_root, &spec_id));
                owed.extend(ids);
            }
        }
        let counts = planner.finish().await?;
        let seconds = start.elapsed().as_secs_f64();
        info!(batch = %id, added = counts.added, replaced = counts.replaced, seconds, "planned");
        Ok(())
    }

    /// The queue of a batch's tasks.
    fn lane(&self, batch: &Batch) -> &dyn Queue {
        &self.lanes[usize::from(batch.scheduled)]
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
