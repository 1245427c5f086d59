//! What coordinators do about schedules, again and again: claim what is due, and bring every
//! firing one stage on.
//!
//! Always holds: each look does what is missing, whoever did what is there. A firing is
//! claimed once; a stage may be done twice, by two at a time or after a death, and comes to
//! the same.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::{info, warn};
use voxage_contract::{Kind, Name, keys};
use voxage_transport::{Put, Store};

use super::calendar::Instant;
use super::firing::{
    Claim, End, Entry, Failure, Firing, LATE_S, Objects, Outcome, asked_object, dues, firing, read,
};
use super::stages::Stages;
use super::{Missed, Overlap, Schedule, Standing, State, numbers, settings};
use crate::{Error, Result};

/// Seconds of a day: clocks are not farther apart.
const DAY_S: i64 = 24 * 3600;

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
    /// Looks after every schedule; gives those that do not go on now, with why. What fails
    /// for one does not hold up the others.
    ///
    /// # Errors
    /// If the schedules cannot be read.
    pub async fn tend(&self) -> Result<BTreeMap<Name, String>> {
        let mut troubles = BTreeMap::new();
        for (name, number) in numbers(self.store).await? {
            if let Err(error) = self.one(&name, number).await {
                warn!(schedule = %name, %error, "will be tried again");
                troubles.insert(name, error.to_string());
            }
        }
        Ok(troubles)
    }

    async fn one(&self, name: &Name, number: u64) -> Result<()> {
        let schedule = &settings(self.store, name, number).await?;
        let dues = dues(self.store, name).await?;
        let mut open = Vec::new();
        for (due, objects) in dues.iter().filter(|(_, objects)| !objects.contains("end")) {
            open.push(firing(self.store, name, *due, objects).await?);
        }
        if schedule.state == State::Active {
            let busy = open.iter().any(|firing| !firing.failed());
            open.extend(self.claim(name, number, schedule, &dues, busy).await?);
        }
        // One at a time; one that failed holds nobody up.
        let mut busy = false;
        for firing in &open {
            let begun = firing.taken_in.is_some();
            let withdrawn = match schedule.state {
                State::Paused if !begun => true,
                // It may have been added again since.
                _ => self.was_removed(name, firing.claim.settings, number).await?,
            };
            if withdrawn {
                if let (Some(asked), None) = (&firing.asked, &firing.trained) {
                    self.stages.withdraw(&asked.done).await?;
                }
                self.end(firing, Outcome::Withdrawn, "the schedule was paused or removed").await?;
            } else if firing.failed() && self.later_went_through(firing, &dues).await? {
                let words = "it failed, and a later firing went through";
                self.end(firing, Outcome::Withdrawn, words).await?;
            } else if let Some(why) = &firing.claim.skipped {
                self.end(firing, Outcome::Skipped, why).await?;
            } else if !firing.failed() && !std::mem::replace(&mut busy, true) {
                self.advance(firing, schedule.state == State::Active).await?;
            }
        }
        Ok(())
    }

    /// When the schedule fired last by its calendar. Who asks for a firing may have another
    /// clock; and a clock that was days ahead must not keep it from firing.
    async fn last_fired(
        &self,
        name: &Name,
        dues: &BTreeMap<Instant, Objects>,
    ) -> Result<Option<Instant>> {
        for due in dues.keys().rev().filter(|due| due.0 <= self.now.0 + DAY_S) {
            let key = keys::fire(name, &due.to_string(), "claim");
            let claim: Option<Claim> = read(self.store, &key).await?;
            if claim.is_some_and(|claim| !claim.asked) {
                return Ok(Some(*due));
            }
        }
        Ok(None)
    }

    /// Whether a schedule was removed since some settings of it were in force.
    async fn was_removed(&self, name: &Name, since: u64, number: u64) -> Result<bool> {
        for number in since + 1..=number {
            if settings(self.store, name, number).await?.state == State::Removed {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a later firing came to an end of its own.
    async fn later_went_through(
        &self,
        failed: &Firing,
        dues: &BTreeMap<Instant, Objects>,
    ) -> Result<bool> {
        let ended = |objects: &Objects| objects.contains("end");
        let later = dues.iter().filter(|(due, objects)| **due > failed.due && ended(objects));
        for (due, _) in later {
            let key = keys::fire(&failed.schedule, &due.to_string(), "end");
            let end: Option<End> = read(self.store, &key).await?;
            let own = [Outcome::Promoted, Outcome::Refused, Outcome::Unchanged];
            if end.is_some_and(|end| own.contains(&end.outcome)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Claims the last firing that is due, if there is one and nobody was quicker.
    async fn claim(
        &self,
        name: &Name,
        number: u64,
        schedule: &Schedule,
        dues: &BTreeMap<Instant, Objects>,
        busy: bool,
    ) -> Result<Option<Firing>> {
        let calendar = schedule.calendar()?;
        let near = schedule.since.max(Instant(self.now.0 - 2 * DAY_S));
        let newest =
            calendar.last(near, self.now).or_else(|| calendar.last(schedule.since, self.now));
        if newest.is_none_or(|(newest, _)| dues.contains_key(&newest)) {
            return Ok(None);
        }
        let last = self.last_fired(name, dues).await?;
        let after = last.map_or(schedule.since, |last| last.max(schedule.since));
        let Some((due, missed)) = calendar.last(after, self.now) else { return Ok(None) };
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
            firing.taken_in = Some(self.entry(firing, firing.stage(), done).await?);
            return Ok(true);
        };
        let Some(sealed) = &firing.sealed else {
            let sealed = match self.stages.seal(&schedule, &taken_in.done).await {
                Err(Error::Empty(_)) => {
                    let words = "there is nothing under its source yet";
                    firing.end = Some(self.end(firing, Outcome::Unchanged, words).await?);
                    return Ok(true);
                }
                sealed => sealed?,
            };
            let Some(done) = sealed else { return Ok(false) };
            firing.sealed = Some(self.entry(firing, firing.stage(), done).await?);
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
            // Asked for once: a look every few seconds would fill the queue.
            let Some(asked) = &firing.asked else {
                let done = self.stages.ask(&schedule, &sealed.done).await?;
                let object = asked_object(firing.retries);
                firing.asked = Some(self.entry(firing, &object, done).await?);
                return Ok(true);
            };
            let Some(done) = self.stages.train(&asked.done).await? else { return Ok(false) };
            firing.trained = Some(self.entry(firing, firing.stage(), done).await?);
            return Ok(true);
        };
        let Some(decided) = &firing.decided else {
            let done = self.stages.decide(&schedule, &trained.done).await?;
            firing.decided = Some(self.entry(firing, firing.stage(), done).await?);
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
        stage: &str,
        done: T,
    ) -> Result<Entry<T>> {
        let entry = Entry { at: self.now, done };
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
    for (due, objects) in dues(store, name).await?.into_iter().rev() {
        if objects.contains("end") {
            continue;
        }
        let firing = firing(store, name, due, &objects).await?;
        if firing.failed() {
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
        Put::Created => Some(firing(store, name, due, &Objects::from(["claim".into()])).await?),
        Put::Exists => None,
    })
}

async fn put(store: &dyn Store, key: &str, value: &impl Serialize) -> Result<Put> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| Error::damaged(key, error))?;
    Ok(store.put_new(key, bytes.into()).await?)
}
