//! A simulated world: objects in memory whose users die, and stages that take their time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use voxage_contract::{BatchId, Rng};
use voxage_transport::{Error as Lost, Listing, ObjectMeta, Put, Result as Stored, Store};

use crate::registry::Decision;
use crate::schedule::stages::{Asked, Sealed, Stages, Taken, TakenIn, Trained};
use crate::schedule::{Instant, Schedule};
use crate::{Error, Result};

/// Objects in memory. Whoever uses them dies now and then: before a call, or right after it.
#[derive(Debug, Default)]
pub(super) struct Deadly {
    pub(super) objects: Mutex<BTreeMap<String, Bytes>>,
    pub(super) dice: Mutex<Option<Rng>>,
}

impl Deadly {
    fn dies(&self) -> bool {
        let mut dice = self.dice.lock().unwrap();
        dice.as_mut().is_some_and(|dice| dice.below(25) == 0)
    }

    fn call<T>(&self, call: impl FnOnce() -> Stored<T>) -> Stored<T> {
        let death =
            || Lost::Io { what: "the process".into(), source: std::io::Error::other("died") };
        if self.dies() {
            return Err(death());
        }
        let done = call();
        if self.dies() { Err(death()) } else { done }
    }
}

#[async_trait]
impl Store for Deadly {
    async fn get(&self, key: &str) -> Stored<Bytes> {
        self.call(|| {
            let objects = self.objects.lock().unwrap();
            objects.get(key).cloned().ok_or_else(|| Lost::NotFound(key.into()))
        })
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Stored<Bytes> {
        Ok(self.get(key).await?.slice(range.start as usize..range.end as usize))
    }

    async fn head(&self, key: &str) -> Stored<ObjectMeta> {
        let size = self.get(key).await?.len() as u64;
        Ok(ObjectMeta { key: key.into(), size, changed_unix_s: 0 })
    }

    fn list<'a>(&'a self, prefix: &str, after: Option<&str>) -> Listing<'a> {
        let found = self.call(|| {
            let objects = self.objects.lock().unwrap();
            let found = objects.iter().filter(|(key, _)| {
                key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
            });
            let meta = |(key, bytes): (&String, &Bytes)| {
                let size = bytes.len() as u64;
                Ok(ObjectMeta { key: key.clone(), size, changed_unix_s: 0 })
            };
            Ok(found.map(meta).collect::<Vec<_>>())
        });
        futures::stream::iter(found.unwrap_or_else(|error| vec![Err(error)])).boxed()
    }

    async fn put_new(&self, key: &str, bytes: Bytes) -> Stored<Put> {
        self.call(|| {
            let mut objects = self.objects.lock().unwrap();
            if objects.contains_key(key) {
                return Ok(Put::Exists);
            }
            objects.insert(key.into(), bytes);
            Ok(Put::Created)
        })
    }

    async fn delete(&self, key: &str) -> Stored<()> {
        self.objects.lock().unwrap().remove(key);
        Ok(())
    }
}

/// What the stages of a simulated world did.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Looks at what is at work; each third one finds it done.
    pub(super) looks: Mutex<u64>,
    pub(super) promoted: Mutex<Vec<u64>>,
    pub(super) withdrawn: Mutex<u64>,
    pub(super) asked: Mutex<u64>,
    /// The stage that fails.
    pub(super) broken: Mutex<bool>,
    /// Whether trainings fail.
    pub(super) untrainable: Mutex<bool>,
}

impl World {
    fn done(&self) -> bool {
        let mut looks = self.looks.lock().unwrap();
        *looks += 1;
        looks.is_multiple_of(3)
    }
}

#[async_trait]
impl Stages for World {
    async fn take_in(&self, schedule: &Schedule) -> Result<TakenIn> {
        let batch = BatchId { dataset: schedule.dataset.clone(), number: 1 };
        let (path, sha256) = ("m.csv".into(), String::new());
        Ok(TakenIn {
            manifests: vec![Taken { path, sha256, batch, recordings: 1 }],
            known: 0,
            bad: Vec::new(),
        })
    }

    async fn seal(&self, _: &Schedule, _: &TakenIn) -> Result<Option<Sealed>> {
        if *self.broken.lock().unwrap() {
            return Err(Error::Schedule("the manifest is no table".into()));
        }
        let sealed = Sealed { manifest: "m".into(), rows: 1, rejects: 0, drift: None, start: None };
        Ok(self.done().then_some(sealed))
    }

    async fn is_known(&self, _: &Schedule, _: &Sealed) -> Result<bool> {
        Ok(false)
    }

    async fn ask(&self, _: &Schedule, _: &Sealed) -> Result<Asked> {
        *self.asked.lock().unwrap() += 1;
        Ok(Asked { run: "r".into(), ask: 1, against: None })
    }

    async fn train(&self, _: &Asked) -> Result<Option<Trained>> {
        if *self.untrainable.lock().unwrap() {
            return Err(Error::Schedule("the training failed".into()));
        }
        let trained =
            Trained { run: "r".into(), model: "m".into(), rmse: Some(1.0), against: None };
        Ok(self.done().then_some(trained))
    }

    async fn decide(&self, _: &Schedule, _: &Trained) -> Result<Decision> {
        let looks = *self.looks.lock().unwrap();
        Ok(Decision {
            candidate: looks,
            champion: None,
            manifest: "m".into(),
            promote: looks.is_multiple_of(2),
            difference: None,
            checks: Vec::new(),
        })
    }

    async fn promote(&self, _: &Schedule, decision: &Decision, _: Instant) -> Result<()> {
        self.promoted.lock().unwrap().push(decision.candidate);
        Ok(())
    }

    async fn withdraw(&self, _: &Asked) -> Result<()> {
        *self.withdrawn.lock().unwrap() += 1;
        Ok(())
    }
}
