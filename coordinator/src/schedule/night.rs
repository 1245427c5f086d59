//! What coordinators do about schedules, again and again: claim what is due, and bring every
//! firing one stage on.
//!
//! Always holds: each look does what is missing, whoever did what is there. A firing is
//! claimed once; a stage may be done twice, by two at a time or after a death, and comes to
//! the same.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::{info, warn};
use voxage_contract::{Kind, Name, keys};
use voxage_transport::{Put, Store};

use super::calendar::Instant;
use super::firing::{Claim, End, Entry, Failure, Firing, LATE_S, Outcome, dues, firing, read};
use super::stages::Stages;
use super::{Missed, Overlap, Schedule, Standing, State, every, settings};
use crate::{Error, Result};

/// A look at the schedules.
#[derive(Debug)]
pub struct Night<'a, S> {
    /// Where they are.
    pub store: &'a dyn Store,
    /// Who does their work.
    pub stages: &'a S,
    /// Who looks.
    pub process: &'a str,
    /// The time.
    pub now: Instant,
}

impl<S: Stages> Night<'_, S> {
    /// Looks after every schedule. What fails for one does not hold up the others.
    ///
    /// # Errors
    /// If the schedules cannot be read.
    pub async fn tend(&self) -> Result<()> {
        for standing in every(self.store).await? {
            if let Err(error) = self.one(&standing).await {
                warn!(schedule = %standing.name, %error, "will be tried again");
            }
        }
        Ok(())
    }

    async fn one(&self, Standing { name, number, schedule }: &Standing) -> Result<()> {
        let dues = dues(self.store, name).await?;
        let mut open = Vec::new();
        for (due, _) in dues.iter().filter(|(_, ended)| !**ended) {
            open.push(firing(self.store, name, *due).await?);
        }
        if schedule.state == State::Active {
            let last = dues.keys().next_back().copied();
            let after = last.map_or(schedule.since, |last| last.max(schedule.since));
            let busy = open.iter().any(|firing| !firing.failed());
            open.extend(self.claim(name, *number, schedule, after, busy).await?);
        }
        // One at a time; one that failed holds nobody up.
        let mut busy = false;
        for firing in &open {
            let begun = firing.taken_in.is_some();
            let withdrawn = match schedule.state {
                State::Active => false,
                State::Paused => !begun,
                State::Removed => true,
            };
            if withdrawn {
                if let (Some(sealed), None) = (&firing.sealed, &firing.trained) {
                    self.stages.withdraw(schedule, &sealed.done).await?;
                }
                self.end(firing, Outcome::Withdrawn, "the schedule was paused or removed").await?;
            } else if let Some(why) = &firing.claim.skipped {
                self.end(firing, Outcome::Skipped, why).await?;
            } else if !firing.failed() && !std::mem::replace(&mut busy, true) {
                self.advance(firing, schedule.state == State::Active).await?;
            }
        }
        Ok(())
    }

    /// Claims the last firing that is due, if there is one and nobody was quicker.
    async fn claim(
        &self,
        name: &Name,
        number: u64,
        schedule: &Schedule,
        after: Instant,
        busy: bool,
    ) -> Result<Option<Firing>> {
        let Some((due, missed)) = schedule.calendar()?.last(after, self.now) else {
            return Ok(None);
        };
        let late_s = self.now.0 - due.0;
        let skipped = if late_s > LATE_S && schedule.missed == Missed::Skip {
            Some(format!("nobody was there: it was seen {late_s} s late"))
        } else if busy && schedule.overlap == Overlap::Skip {
            Some("the one before was still at work".to_owned())
        } else {
            None
        };
        let claim = Claim {
            at: self.now,
            by: self.process.to_owned(),
            settings: number,
            asked: false,
            missed,
            skipped,
        };
        put_claim(self.store, name, due, &claim).await
    }

    /// Does the next stage of a firing, and goes on as far as it gets; to a promotion only if
    /// it is `active`: who paused the schedule wants nothing to change.
    async fn advance(&self, firing: &Firing, active: bool) -> Result<()> {
        let mut firing = firing.clone();
        while firing.end.is_none() {
            let stage = firing.stage();
            match self.step(&mut firing, active).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind() == Kind::Transient => return Err(error),
                Err(error) => {
                    let why = error.to_string();
                    warn!(schedule = %firing.schedule, due = %firing.due, stage, why, "failed");
                    let failure = Failure { at: self.now, stage: stage.into(), why };
                    let object = format!("failed-{:04}", firing.failures.len() + 1);
                    return self.write(&firing, &object, &failure).await.map(|_| ());
                }
            }
        }
        Ok(())
    }

    /// One stage; false if it is still at work.
    async fn step(&self, firing: &mut Firing, active: bool) -> Result<bool> {
        let name = &firing.schedule;
        let schedule = settings(self.store, name, firing.claim.settings).await?;
        let Some(taken_in) = &firing.taken_in else {
            let done = self.stages.take_in(&schedule).await?;
            firing.taken_in = Some(self.entry(firing, done).await?);
            return Ok(true);
        };
        let Some(sealed) = &firing.sealed else {
            let Some(done) = self.stages.seal(&schedule, &taken_in.done).await? else {
                return Ok(false);
            };
            firing.sealed = Some(self.entry(firing, done).await?);
            return Ok(true);
        };
        let Some(trained) = &firing.trained else {
            if self.stages.is_known(&schedule, &sealed.done).await? {
                firing.end = Some(
                    self.end(firing, Outcome::Unchanged, "the champion has learned from all of it")
                        .await?,
                );
                return Ok(true);
            }
            let Some(done) = self.stages.train(&schedule, &sealed.done).await? else {
                return Ok(false);
            };
            firing.trained = Some(self.entry(firing, done).await?);
            return Ok(true);
        };
        let Some(decided) = &firing.decided else {
            let done = self.stages.decide(&schedule, &trained.done).await?;
            firing.decided = Some(self.entry(firing, done).await?);
            return Ok(true);
        };
        let outcome = if decided.done.promote {
            if !active {
                return Ok(false);
            }
            self.stages.promote(&schedule, &decided.done, self.now).await?;
            Outcome::Promoted
        } else {
            Outcome::Refused
        };
        firing.end = Some(self.end(firing, outcome, &decided.done.words()).await?);
        Ok(true)
    }

    /// Writes down what a stage came to; gives what is written down, if another was quicker.
    async fn entry<T: Serialize + DeserializeOwned>(
        &self,
        firing: &Firing,
        done: T,
    ) -> Result<Entry<T>> {
        let entry = Entry { at: self.now, done };
        let stage = firing.stage();
        if self.write(firing, stage, &entry).await? == Put::Created {
            info!(schedule = %firing.schedule, due = %firing.due, stage, "done");
            return Ok(entry);
        }
        let key = keys::fire(&firing.schedule, &firing.due.to_string(), stage);
        read(self.store, &key).await?.ok_or_else(|| Error::damaged(&key, "it is gone"))
    }

    async fn end(&self, firing: &Firing, outcome: Outcome, words: &str) -> Result<End> {
        let end = End { at: self.now, outcome, words: words.to_owned() };
        info!(schedule = %firing.schedule, due = %firing.due, ?outcome, words, "ended");
        self.write(firing, "end", &end).await?;
        Ok(end)
    }

    async fn write(&self, firing: &Firing, object: &str, value: &impl Serialize) -> Result<Put> {
        put(self.store, &keys::fire(&firing.schedule, &firing.due.to_string(), object), value).await
    }
}

/// Fires a schedule now, beside its times.
///
/// # Errors
/// If it is being fired this very second, or the store fails.
pub async fn run_now(
    store: &dyn Store,
    standing: &Standing,
    process: &str,
    now: Instant,
) -> Result<Firing> {
    let claim = Claim {
        at: now,
        by: process.to_owned(),
        settings: standing.number,
        asked: true,
        missed: 0,
        skipped: None,
    };
    let fired = put_claim(store, &standing.name, now, &claim).await?;
    fired.ok_or_else(|| Error::Schedule("it is being fired at this very second".into()))
}

/// Lets the newest firing that failed be tried again, from the stage that failed.
///
/// # Errors
/// If none failed, or the store fails.
pub async fn retry(store: &dyn Store, name: &Name, now: Instant) -> Result<Firing> {
    for (due, ended) in dues(store, name).await?.into_iter().rev() {
        let firing = firing(store, name, due).await?;
        if !ended && firing.failed() {
            let object = format!("retry-{:04}", firing.retries + 1);
            put(store, &keys::fire(name, &due.to_string(), &object), &now).await?;
            return Ok(Firing { retries: firing.retries + 1, ..firing });
        }
    }
    Err(Error::Schedule(format!("no firing of '{name}' has failed")))
}

/// Claims a firing; none if somebody has.
async fn put_claim(
    store: &dyn Store,
    name: &Name,
    due: Instant,
    claim: &Claim,
) -> Result<Option<Firing>> {
    let key = keys::fire(name, &due.to_string(), "claim");
    Ok(match put(store, &key, claim).await? {
        Put::Created => Some(firing(store, name, due).await?),
        Put::Exists => None,
    })
}

async fn put(store: &dyn Store, key: &str, value: &impl Serialize) -> Result<Put> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| Error::damaged(key, error))?;
    Ok(store.put_new(key, bytes.into()).await?)
}
