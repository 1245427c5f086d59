//! All at a glance: data sets, queues and who is at work.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Mutex;
use voxage_contract::Name;

use super::{Answer, Site};
use crate::dead::{self, Choice, Letter};
use crate::register::{Register, datasets};
use crate::rejects::{self, Counted, Page};
use crate::scene::Looked;
use crate::status::{Status, Watch};
use crate::{Error, Result};

/// An overview is given to all who ask for at least so long.
const LEAST_AGE: Duration = Duration::from_millis(1500);

/// A look may take this share of the time: those at a large data set take seconds.
const LOOK_SHARE: u32 = 5;

/// All at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// The data sets.
    pub datasets: Vec<Status>,
    /// Those of which nothing can be said, with why.
    pub damaged: BTreeMap<Name, String>,
    /// What is at the broker; none if it cannot be asked.
    pub queue: Option<Looked>,
    /// When that was, in seconds since 1970.
    pub at_unix_s: f64,
}

/// Letters are given to all who ask for so long: who looks at them takes them from others.
const LETTERS_AGE: Duration = Duration::from_secs(8);

/// The overview of a moment ago, and what makes the next one cheap.
#[derive(Debug, Default)]
pub struct Overviews(Mutex<Last>, Mutex<Letters>);

/// Recordings of a letter that are named.
const MOST_IDS: usize = 20;

/// The dead letters of a moment ago, how many there were in all, and when.
type Letters = Option<(Arc<Vec<Letter>>, u32, Instant)>;

#[derive(Debug, Default)]
struct Last {
    overview: Option<(Arc<Overview>, Instant, Duration)>,
    watch: Watch,
    /// Data sets of which nothing was left, as they were then.
    settled: HashMap<Name, (Register, Status)>,
    /// What is known of rejects.
    counted: Counted,
}

pub(super) async fn overview(State(site): State<Arc<Site>>) -> Answer {
    Ok(Json(json!(*site.overview().await?)))
}

impl Site {
    /// All at a glance, of a moment ago at most.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) async fn overview(&self) -> Result<Arc<Overview>> {
        let mut last = self.overviews.0.lock().await;
        if let Some((overview, at, took)) = &last.overview
            && at.elapsed() < LEAST_AGE.max(*took * LOOK_SHARE)
        {
            return Ok(Arc::clone(overview));
        }
        let start = Instant::now();
        let (mut statuses, mut damaged) = (Vec::new(), BTreeMap::new());
        for name in datasets(&*self.store).await? {
            match last.look(self, &name).await {
                Ok(status) => statuses.extend(status),
                Err(Error::Damaged { key, why }) => {
                    damaged.insert(name, format!("{key}: {why}"));
                }
                Err(error) => return Err(error),
            }
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let overview = Arc::new(Overview {
            datasets: statuses,
            damaged,
            queue: self.scene.look().await.ok(),
            at_unix_s: since.as_secs_f64(),
        });
        last.overview = Some((Arc::clone(&overview), Instant::now(), start.elapsed()));
        Ok(overview)
    }

    /// The dead letters, of a moment ago at most, and how many there are in all.
    pub(super) async fn letters(&self) -> Result<(Arc<Vec<Letter>>, u32)> {
        let mut last = self.overviews.1.lock().await;
        if let Some((letters, total, _)) =
            last.as_ref().filter(|(.., at)| at.elapsed() < LETTERS_AGE)
        {
            return Ok((Arc::clone(letters), *total));
        }
        let mut total = 0;
        for queue in self.scene.tasks() {
            total += queue.dead_letters().count().await?;
        }
        let mut letters = dead::list(self.scene.tasks(), &Choice::default(), true).await?;
        for letter in &mut letters {
            letter.ids.truncate(MOST_IDS);
        }
        let letters = Arc::new(letters);
        *last = Some((Arc::clone(&letters), total, Instant::now()));
        Ok((letters, total))
    }

    /// Does something to dead letters, while nobody here looks at them.
    pub(super) async fn settle<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut last = self.overviews.1.lock().await;
        *last = None;
        work.await
    }

    /// Some rejects of a data set, after a cursor.
    pub(super) async fn rejects(
        &self,
        dataset: &Name,
        after: Option<&str>,
        code: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let mut last = self.overviews.0.lock().await;
        let Last { watch, counted, .. } = &mut *last;
        let known = (watch.seen(), counted);
        rejects::page(&*self.store, dataset, known, (after, code, limit)).await
    }

    /// Lets the next overview be a new one: something was changed.
    pub(super) async fn changed(&self) {
        self.overviews.0.lock().await.overview = None;
    }
}

impl Last {
    async fn look(&mut self, site: &Site, name: &Name) -> Result<Option<Status>> {
        let register = Register::read(&*site.store, name).await?;
        if let Some((before, status)) = self.settled.get(name)
            && *before == register
        {
            return Ok(Some(status.clone()));
        }
        let status = self.watch.look(&*site.store, name).await?;
        if let Some(status) = status.as_ref().filter(|status| status.sealed && status.left == 0) {
            self.settled.insert(name.clone(), (register, status.clone()));
        } else {
            self.settled.remove(name);
        }
        Ok(status)
    }
}
