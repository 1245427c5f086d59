//! What waits at the broker, and who is at work: for people.

use std::collections::BTreeMap;

use serde::Serialize;
use voxage_contract::Beat;
use voxage_transport::{Amqp, AmqpQueue};

use crate::Result;
use crate::company::Company;
use crate::dispatch::LANES;

/// The queues of an installation.
pub const QUEUES: [&str; 4] = [LANES[0], LANES[1], "trainings", "predictions"];

/// The queues, and those who work at them.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The queues, in the order of [`QUEUES`].
    queues: Vec<AmqpQueue>,
    /// Who was heard of late.
    pub company: Company,
}

/// What a look at the scene shows.
#[derive(Debug, Clone, Serialize)]
pub struct Looked {
    /// Tasks that wait.
    pub ready: u32,
    /// Tasks that were put aside.
    pub dead: u32,
    /// Every queue, by its name.
    pub queues: BTreeMap<&'static str, Queued>,
    /// The feature workers.
    pub workers: Vec<Worker>,
    /// The coordinators' names.
    pub coordinators: Vec<String>,
    /// The trainers.
    pub trainers: Vec<Busy>,
    /// The predictors.
    pub predictors: Vec<Busy>,
    /// Why data sets do not go on.
    pub troubles: BTreeMap<String, String>,
}

/// What is in a queue.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Queued {
    /// Messages that wait.
    pub ready: u32,
    /// Messages that were put aside.
    pub dead: u32,
    /// Consumers.
    pub consumers: u32,
}

/// A feature worker.
#[derive(Debug, Clone, Serialize)]
pub struct Worker {
    /// Its name.
    pub process: String,
    /// Recordings that it extracts at a time.
    pub slots: u32,
    /// Tasks in hand.
    pub tasks: usize,
    /// Recordings that it has done.
    pub recordings: u64,
    /// Rejects among them.
    pub rejects: u64,
    /// Seconds of audio.
    pub audio_s: f64,
}

/// A trainer or predictor.
#[derive(Debug, Clone, Serialize)]
pub struct Busy {
    /// Its name.
    pub process: String,
    /// The run that a trainer is at.
    pub run: Option<String>,
}

impl Scene {
    /// Begins to listen. Everyone is heard within a second.
    ///
    /// # Errors
    /// If the broker fails.
    pub async fn open(amqp: &Amqp) -> Result<Self> {
        let mut queues = Vec::new();
        for name in QUEUES {
            queues.push(amqp.queue(name).await?);
        }
        Ok(Self { queues, company: Company::join(amqp).await? })
    }

    /// The queues of the feature workers' tasks.
    #[must_use]
    pub fn tasks(&self) -> &[AmqpQueue] {
        &self.queues[..LANES.len()]
    }

    /// What is there now.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub async fn look(&self) -> Result<Looked> {
        let mut queues = BTreeMap::new();
        for (name, queue) in QUEUES.into_iter().zip(&self.queues) {
            let (depth, dead) = (queue.depth().await?, queue.dead_letters().count().await?);
            queues.insert(name, Queued { ready: depth.ready, dead, consumers: depth.consumers });
        }
        let mut roles: BTreeMap<String, Vec<Beat>> = BTreeMap::new();
        let mut beats = self.company.now();
        beats.sort_by(|a, b| a.process.cmp(&b.process));
        for beat in beats {
            roles.entry(beat.role.clone()).or_default().push(beat);
        }
        let mut of = |role: &str| roles.remove(role).unwrap_or_default();
        let (workers, coordinators) = (of("feature-worker"), of("coordinator"));
        let busy = |beats: Vec<Beat>| {
            let one =
                |beat: Beat| Busy { run: beat.shards.into_iter().next(), process: beat.process };
            beats.into_iter().map(one).collect()
        };
        let lanes = || LANES.iter().map(|lane| queues[lane]);
        Ok(Looked {
            ready: lanes().map(|lane| lane.ready).sum(),
            dead: lanes().map(|lane| lane.dead).sum(),
            workers: workers.into_iter().map(Worker::from).collect(),
            troubles: coordinators.iter().flat_map(|beat| beat.troubles.clone()).collect(),
            coordinators: coordinators.into_iter().map(|beat| beat.process).collect(),
            trainers: busy(of("trainer")),
            predictors: busy(of("predictor")),
            queues,
        })
    }
}

impl From<Beat> for Worker {
    fn from(beat: Beat) -> Self {
        Self {
            process: beat.process,
            slots: beat.slots,
            tasks: beat.shards.len(),
            recordings: beat.recordings,
            rejects: beat.rejects,
            audio_s: beat.audio_s,
        }
    }
}
