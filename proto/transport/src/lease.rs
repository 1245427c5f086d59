//! A lease: of all who want to do the same long work, one does it at a time; when it dies,
//! another may take over.
//!
//! Always holds: two never hold a lease at the same time, whatever dies or is cut off, as
//! long as no clock runs much faster than another. Conditional puts alone decide, and no
//! clock is compared with another's: a holder puts a beat again and again; one that could
//! not for two thirds of `ttl` no longer holds until a beat gets through; who sees no new
//! beat for all of `ttl` may put the first beat of the next term.
//! It does not know what the work is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};
use voxage_contract::keys::{lease_beat, lease_end, lease_place};

use crate::holder::Holder;
use crate::store::{Put, Store, StoreExt as _};
use crate::{Error, Result};

/// How long a holder must be silent until another may take over, unless told otherwise.
pub const TTL: Duration = Duration::from_secs(30);

/// A lease that this process has, or had.
#[derive(Debug)]
pub struct Lease {
    standing: watch::Receiver<Standing>,
    end: watch::Sender<Bytes>,
    beats: JoinHandle<()>,
}

/// What came of wanting a lease.
#[derive(Debug)]
pub enum Claim {
    /// It is ours.
    Held(Lease),
    /// Another has it, or was faster: its name, for people.
    Busy(String),
}

/// How a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    HeldUntil(Instant),
    /// Another has it.
    Lost,
}

/// The newest beat of a lease's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    term: u64,
    beat: u64,
    ended: bool,
}

impl Lease {
    /// Wants the lease of a folder (ending in '/') for this process. Takes all of `ttl` if
    /// its holder may have died.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn claim(store: Arc<dyn Store>, folder: &str, ttl: Duration) -> Result<Claim> {
        let seen = look(&*store, folder).await?;
        if let Some(seen) = seen.filter(|seen| !seen.ended) {
            let holder = Holder::read(&store.get(&lease_beat(folder, seen.term, 0)).await?);
            let start = Instant::now();
            while !holder.is_gone() && start.elapsed() < ttl {
                sleep(ttl / 6).await;
                if look(&*store, folder).await? != Some(seen) {
                    return Ok(Claim::Busy(holder.to_string()));
                }
            }
        }
        let term = seen.map_or(0, |seen| seen.term) + 1;
        let start = Instant::now();
        let this = Holder::this();
        let first = store.put_new(&lease_beat(folder, term, 0), this.to_bytes()).await?;
        let others = places(&*store, folder).await?;
        let newer = others.iter().any(|(other, _)| *other > term);
        // The holder that seemed to be gone came back before it could see our term.
        let back = seen.is_some_and(|seen| {
            others
                .iter()
                .any(|(term, beat)| *term == seen.term && beat.is_some_and(|b| b > seen.beat))
        });
        if first == Put::Exists || newer || back {
            if first == Put::Created {
                store.put_new(&lease_end(folder, term), Bytes::new()).await?;
            }
            return Ok(Claim::Busy("another process".into()));
        }
        let (standing, seen) = watch::channel(Standing::HeldUntil(start + ttl * 2 / 3));
        let (end, ended) = watch::channel(Bytes::new());
        let beats = Beats { store, folder: folder.to_owned(), term, ttl, standing };
        let beats = tokio::spawn(beats.run(ended));
        Ok(Claim::Held(Self { standing: seen, end, beats }))
    }

    /// Whether the lease is held now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match *self.standing.borrow() {
            Standing::HeldUntil(until) => Instant::now() < until,
            Standing::Lost => false,
        }
    }

    /// Waits until the lease is held again; false if another has it.
    pub async fn held(&mut self) -> bool {
        loop {
            match *self.standing.borrow_and_update() {
                Standing::HeldUntil(until) if Instant::now() < until => return true,
                Standing::HeldUntil(_) => {}
                Standing::Lost => return false,
            }
            if self.standing.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Gives the lease up, so that another may have it at once. The word, for people, is kept
    /// at the end of the term until the next one begins.
    pub async fn release(self, word: Bytes) {
        let _ = self.end.send(word);
        // A panic in there is told by the runtime; without a last word, `ttl` frees it.
        let _ = self.beats.await;
    }
}

/// The beats of one term.
struct Beats {
    store: Arc<dyn Store>,
    folder: String,
    term: u64,
    ttl: Duration,
    standing: watch::Sender<Standing>,
}

impl Beats {
    /// Beats until the lease is released, dropped, or lost.
    async fn run(self, mut ended: watch::Receiver<Bytes>) {
        self.tidy(0).await;
        let mut beat = 1;
        loop {
            tokio::select! {
                () = sleep(self.ttl / 6) => {}
                released = ended.changed() => {
                    if released.is_ok() {
                        let word = ended.borrow().clone();
                        let _ = self.store.put_new(&lease_end(&self.folder, self.term), word).await;
                    }
                    return;
                }
            }
            match self.beat(beat).await {
                Ok(true) => {
                    self.tidy(beat).await;
                    beat += 1;
                }
                Ok(false) => {
                    warn!(lease = self.folder, "another process has taken over");
                    self.standing.send_replace(Standing::Lost);
                    return;
                }
                Err(error) => debug!(lease = self.folder, %error, "no beat"),
            }
        }
    }

    /// Puts a beat; false if another has the lease.
    async fn beat(&self, beat: u64) -> Result<bool> {
        let start = Instant::now();
        // Exists: put by an attempt whose answer was lost.
        self.store.put_new(&lease_beat(&self.folder, self.term, beat), Bytes::new()).await?;
        let was_held =
            matches!(*self.standing.borrow(), Standing::HeldUntil(until) if start < until);
        if !was_held
            && places(&*self.store, &self.folder).await?.iter().any(|(term, _)| *term > self.term)
        {
            return Ok(false);
        }
        self.standing.send_replace(Standing::HeldUntil(start + self.ttl * 2 / 3));
        Ok(true)
    }

    /// Deletes what nobody needs: earlier terms, and beats but the first and the newest. The
    /// first of a term stays until the next term, so that no late comer can put it again.
    async fn tidy(&self, beat: u64) {
        let done = async {
            if beat > 1 {
                return self.store.delete(&lease_beat(&self.folder, self.term, beat - 1)).await;
            }
            for key in self.store.keys(&self.folder).await? {
                if lease_place(&key, &self.folder).is_some_and(|(term, _)| term < self.term) {
                    self.store.delete(&key).await?;
                }
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = done.await {
            debug!(lease = self.folder, %error, "old beats stay");
        }
    }
}

/// The newest beat, if anyone ever had the lease.
async fn look(store: &dyn Store, folder: &str) -> Result<Option<Seen>> {
    let places = places(store, folder).await?;
    let Some(term) = places.iter().map(|(term, _)| *term).max() else { return Ok(None) };
    let of_term = || places.iter().filter(move |place| place.0 == term);
    let beat = of_term().filter_map(|(_, beat)| *beat).max().unwrap_or(0);
    Ok(Some(Seen { term, beat, ended: of_term().any(|(_, beat)| beat.is_none()) }))
}

/// Every term and beat that is there; no beat for the end of a term.
async fn places(store: &dyn Store, folder: &str) -> Result<Vec<(u64, Option<u64>)>> {
    let keys = store.keys(folder).await?;
    Ok(keys.iter().filter_map(|key| lease_place(key, folder)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dir;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    const SHORT: Duration = Duration::from_millis(600);

    fn store() -> (tempfile::TempDir, Arc<dyn Store>) {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Dir::open(folder.path()).unwrap());
        (folder, store)
    }

    async fn claim(store: &Arc<dyn Store>) -> Option<Lease> {
        match Lease::claim(Arc::clone(store), "l/", SHORT).await.unwrap() {
            Claim::Held(lease) => Some(lease),
            Claim::Busy(_) => None,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_has_it_until_it_is_released() {
        let (_folder, store) = store();
        let first = claim(&store).await.unwrap();
        assert!(claim(&store).await.is_none());
        sleep(2 * SHORT).await;
        assert!(first.is_held());
        first.release("done".into()).await;
        assert_eq!(store.get(&lease_end("l/", 1)).await.unwrap(), "done");
        let start = Instant::now();
        let second = claim(&store).await.unwrap();
        assert!(start.elapsed() < SHORT && second.is_held());
        // Old beats are gone.
        sleep(SHORT).await;
        assert!(store.keys("l/").await.unwrap().len() <= 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_died_is_succeeded() {
        let (_folder, store) = store();
        let first = claim(&store).await.unwrap();
        first.beats.abort();
        let start = Instant::now();
        let second = claim(&store).await.unwrap();
        assert!(start.elapsed() >= SHORT && second.is_held() && !first.is_held());
    }

    /// A store that can be cut off.
    #[derive(Debug)]
    struct Cuttable(Arc<dyn Store>, AtomicBool);

    impl Cuttable {
        fn check(&self) -> Result<()> {
            let away = || std::io::Error::other("cut off");
            if self.1.load(Ordering::SeqCst) {
                Err(Error::io("use the store", away()))
            } else {
                Ok(())
            }
        }
    }

    #[async_trait::async_trait]
    impl Store for Cuttable {
        async fn get(&self, key: &str) -> Result<Bytes> {
            self.check()?;
            self.0.get(key).await
        }
        async fn get_range(&self, key: &str, range: std::ops::Range<u64>) -> Result<Bytes> {
            self.0.get_range(key, range).await
        }
        async fn head(&self, key: &str) -> Result<crate::ObjectMeta> {
            self.0.head(key).await
        }
        fn list<'a>(&'a self, prefix: &str, after: Option<&str>) -> crate::Listing<'a> {
            self.0.list(prefix, after)
        }
        async fn put_new(&self, key: &str, bytes: Bytes) -> Result<Put> {
            self.check()?;
            self.0.put_new(key, bytes).await
        }
        async fn delete(&self, key: &str) -> Result<()> {
            self.0.delete(key).await
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_is_cut_off_waits_and_learns_what_became_of_it() {
        let (_folder, store) = store();
        let cut = Arc::new(Cuttable(Arc::clone(&store), AtomicBool::new(false)));
        let shared: Arc<dyn Store> = Arc::clone(&cut) as _;
        let mut first = claim(&shared).await.unwrap();
        // Cut off for a while: nobody else came, it is held again.
        cut.1.store(true, Ordering::SeqCst);
        sleep(SHORT * 9 / 10).await;
        assert!(!first.is_held());
        cut.1.store(false, Ordering::SeqCst);
        assert!(first.held().await);
        // Cut off for longer: another has it.
        cut.1.store(true, Ordering::SeqCst);
        let second = claim(&store).await.unwrap();
        assert!(!first.is_held());
        cut.1.store(false, Ordering::SeqCst);
        assert!(!first.held().await);
        assert!(second.is_held());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_one_works_at_a_time() {
        let (_folder, store) = store();
        let (working, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let racers = (0..8).map(|i| {
            let (store, working, done) =
                (Arc::clone(&store), Arc::clone(&working), Arc::clone(&done));
            tokio::spawn(async move {
                while done.load(Ordering::SeqCst) < 6 {
                    let Some(lease) = claim(&store).await else { continue };
                    assert_eq!(working.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
                    sleep(SHORT / 10).await;
                    working.fetch_sub(1, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                    // Half of them die.
                    if i % 2 == 0 { lease.release(Bytes::new()).await } else { lease.beats.abort() }
                }
            })
        });
        for racer in racers.collect::<Vec<_>>() {
            racer.await.unwrap();
        }
    }
}
