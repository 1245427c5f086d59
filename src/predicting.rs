//! Predictions of a whole data set: a Parquet file for each of its shards, in the store.
//!
//! Always holds: a part is put whole and once, under a key that follows from model, manifest
//! and shard; so what was cut off goes on, and two that do the same do no harm.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use voxage_contract::training::{Event, PredictShardsRequest, Prediction, Request};
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{Predict, SealedManifest, ShardId, keys};
use voxage_shards::predictions;
use voxage_transport::{DeadLetter, Dir, Put, Queue as _, S3, Store, StoreExt as _};

use crate::ends;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::trainer::Trainer;

/// Messages that were put aside that are looked at, at most.
const LETTERS: usize = 1000;

/// Shards of one message: the model is loaded once for them.
const SHARDS: usize = 16;

/// Between two looks for parts that others make.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// If no part comes for so long and no message waits, messages are lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// Parts that are copied at a time.
const COPIES: usize = 8;

/// What is to be predicted, by what.
pub struct Job<'a> {
    pub settings: &'a Settings,
    pub store: &'a dyn Store,
    /// Key of the model version.
    pub model: String,
    /// Key of the sealed manifest.
    pub manifest: String,
}

impl Job<'_> {
    fn name(&self) -> String {
        keys::prediction_job(&self.model, &self.manifest)
    }

    /// Sees to it that every part is there, here or by predictors; gives all shards.
    pub async fn carry_out(&self, stop: &CancellationToken) -> Result<Vec<ShardId>> {
        let sealed = self.store.get(&self.manifest).await?;
        let sealed: SealedManifest = serde_json::from_slice(&sealed)?;
        let shards: Vec<ShardId> = sealed.shards.into_iter().map(|shard| shard.id).collect();
        let (total, missing) = (shards.len() as u64, self.missing(&shards).await?);
        let mut progress = Progress::resumed("predict", total - missing.len() as u64);
        if !missing.is_empty() && self.settings.queue.is_empty() {
            let mut left = missing.len() as u64;
            self.predict(missing, stop, |_| {
                left -= 1;
                progress.set(total - left, total, "shards");
            })
            .await?;
        } else if !missing.is_empty() {
            tokio::select! {
                followed = self.follow(&shards, missing, &mut progress) => followed?,
                () = stop.cancelled() => bail!("stopped: predictors go on; repeat it to fetch what they made"),
            }
        }
        progress.finish(&format!("{total} shards by {}", self.model));
        Ok(shards)
    }

    async fn missing(&self, shards: &[ShardId]) -> Result<Vec<ShardId>> {
        let job = self.name();
        let there = self.store.keys(&keys::job_parts(&job)).await?;
        let there: std::collections::HashSet<_> = there.into_iter().collect();
        let missing = shards.iter().filter(|shard| !there.contains(&keys::job_part(&job, shard)));
        Ok(missing.cloned().collect())
    }

    /// Makes the parts of some shards in this process.
    pub async fn predict(
        &self,
        shards: Vec<ShardId>,
        stop: &CancellationToken,
        mut each: impl FnMut(&ShardId),
    ) -> Result<()> {
        let request = Request::PredictShards(PredictShardsRequest {
            root: self.settings.root.clone(),
            access: self.settings.access(),
            model: self.model.clone(),
            manifest: self.manifest.clone(),
            shards,
        });
        let (parts, mut made) = tokio::sync::mpsc::unbounded_channel();
        let mut rows: Vec<Prediction> = Vec::new();
        let trainer = Trainer::start(&request).await?;
        let predict = async {
            let end = trainer.finish(std::iter::empty(), stop, |event| {
                match event {
                    Event::Prediction(prediction) => rows.push(prediction),
                    Event::ShardPredicted { shard } => {
                        parts.send((shard, std::mem::take(&mut rows)))?;
                    }
                    _ => {}
                }
                Ok(())
            });
            let end = end.await;
            drop(parts);
            end
        };
        let write = async {
            while let Some((shard, rows)) = made.recv().await {
                let key = keys::job_part(&self.name(), &shard);
                self.store.put_new(&key, predictions(&self.model, &rows)?).await?;
                each(&shard);
            }
            Ok::<_, anyhow::Error>(())
        };
        let (end, written) = tokio::join!(predict, write);
        written?;
        match end? {
            Event::Predicted { .. } => Ok(()),
            other => bail!("the trainer answered {other:?}"),
        }
    }

    /// Hands shards out to predictors and waits until every part is there.
    async fn follow(
        &self,
        shards: &[ShardId],
        mut missing: Vec<ShardId>,
        progress: &mut Progress,
    ) -> Result<()> {
        let amqp = self.settings.amqp().await?;
        let queue = ends::predictions(&amqp).await?;
        // Left by one that asked for the same and did not stay.
        queue.dead_letters().discard(|letter| self.is_about(letter)).await?;
        let mut since: Option<Instant> = None;
        loop {
            if since.is_none_or(|since| since.elapsed() > PATIENCE) {
                if queue.depth().await?.ready == 0 {
                    for shards in missing.chunks(SHARDS) {
                        let message = Predict {
                            version: WIRE_VERSION,
                            model: self.model.clone(),
                            manifest: self.manifest.clone(),
                            shards: shards.iter().map(ToString::to_string).collect(),
                        };
                        queue.publish(message.encode_to_vec().into()).await?;
                    }
                }
                since = Some(Instant::now());
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let left = self.missing(shards).await?;
            if left.is_empty() {
                amqp.close().await;
                return Ok(());
            }
            if left.len() < missing.len() {
                since = Some(Instant::now());
            }
            missing = left;
            let dead = queue.dead_letters().list(LETTERS).await?;
            if let Some(letter) = dead.iter().find(|letter| self.is_about(letter)) {
                queue.dead_letters().discard(|letter| self.is_about(letter)).await?;
                bail!("predictors cannot do it: {}", letter.reason);
            }
            let (done, total) = (shards.len() - missing.len(), shards.len());
            progress.set(done as u64, total as u64, "shards (`voxage predictor` makes them)");
        }
    }

    /// Whether a message that was put aside is of this job.
    fn is_about(&self, letter: &DeadLetter) -> bool {
        Predict::decode(&*letter.payload)
            .is_ok_and(|asked| asked.model == self.model && asked.manifest == self.manifest)
    }

    /// Copies all parts to a folder or `s3://bucket/prefix`.
    pub async fn copy(&self, shards: &[ShardId], out: &str) -> Result<()> {
        let place: Box<dyn Store> = if out.starts_with("s3://") {
            // Not probed, which would leave an object that is no Parquet.
            Box::new(S3::unproved(out, &self.settings.s3()).await?)
        } else {
            Box::new(Dir::open(out)?)
        };
        let (job, place) = (self.name(), &*place);
        let copies = shards.iter().map(|shard| {
            let (from, to) = (keys::job_part(&job, shard), format!("{shard}.parquet"));
            async move {
                let bytes = self.store.get(&from).await?;
                if place.put_new(&to, bytes.clone()).await? == Put::Exists
                    && place.get(&to).await? != bytes
                {
                    bail!("{out} has another {to}, of another model or another version of the data set: \
                         name a place of its own");
                }
                Ok(())
            }
        });
        let copies: Vec<_> = copies.collect();
        stream::iter(copies).buffer_unordered(COPIES).try_collect::<()>().await.context("--out")
    }
}
