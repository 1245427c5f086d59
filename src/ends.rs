//! The two ends that a verb works between, opened as the settings say: the store and the queue.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use prost::Message as _;
use voxage_contract::training::{Access, CacheSettings};
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{Beat, Name, keys};
use voxage_coordinator::company::BEAT_EVERY;
use voxage_coordinator::dispatch::LANES;
use voxage_coordinator::schedule::Instant;
use voxage_transport::source::{self, Sources};
use voxage_transport::{Amqp, AmqpOptions, AmqpQueue, Counted, Dir, S3, S3Settings, Store};

use crate::settings::{PathStyle, Settings};

impl Settings {
    /// The S3 server.
    pub fn s3(&self) -> S3Settings {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        S3Settings {
            endpoint: given(&self.s3.endpoint),
            region: given(&self.s3.region),
            path_style: match self.s3.path_style {
                PathStyle::Auto => None,
                choice => Some(choice == PathStyle::Yes),
            },
        }
    }

    /// The store, to write to.
    pub async fn store(&self) -> Result<Arc<dyn Store>> {
        let store: Arc<dyn Store> = if self.root.starts_with("s3://") {
            Arc::new(S3::open(&self.root, &self.s3()).await?)
        } else {
            Arc::new(Dir::open(&self.root)?)
        };
        Ok(Arc::new(Counted(store)))
    }

    /// The store, which must be there, to read from.
    pub async fn existing_store(&self) -> Result<Arc<dyn Store>> {
        Ok(if self.root.starts_with("s3://") {
            Arc::new(S3::open_existing(&self.root, &self.s3()).await?)
        } else {
            Arc::new(Dir::open_existing(&self.root)?)
        })
    }

    /// How the trainer reaches the store.
    pub fn access(&self) -> Access {
        let S3Settings { endpoint, region, path_style } = self.s3();
        let cache = (!self.cache.folder.is_empty()).then(|| CacheSettings {
            folder: self.cache.folder.clone(),
            limit_mib: self.cache.mib,
        });
        Access { s3_endpoint: endpoint, s3_region: region, s3_path_style: path_style, cache }
    }

    /// The broker's connection.
    pub async fn amqp(&self) -> Result<Amqp> {
        if self.queue.is_empty() {
            misuse!(
                "no queue is named: give --queue amqp://user:password@host, or VOXAGE_QUEUE \
                 (`deploy/stack up` starts a RabbitMQ and says both)"
            );
        }
        let ca_file = Some(&self.queue_ca).filter(|file| !file.is_empty()).map(PathBuf::from);
        let options = AmqpOptions { name: self.queue_name.clone(), ca_file, ..Default::default() };
        Ok(Amqp::open_with(&self.queue, options).await?)
    }

    /// The audio that a process may read whose work comes from others: below the store's
    /// own root, and where the settings say.
    pub fn allowed_sources(&self) -> Result<Sources> {
        let mut allowed = vec![self.root_uri()?];
        for root in self.audio_roots.iter().filter(|root| !root.is_empty()) {
            allowed.push(source::root(root).context("setting audio_roots")?);
        }
        Ok(Sources::below(&allowed).with_s3(self.s3()))
    }

    /// All audio that the person may read whose process this is.
    pub fn any_sources(&self) -> Sources {
        Sources::any().with_s3(self.s3())
    }

    /// Where audio is that is uploaded with a submission.
    pub fn upload_root(&self, dataset: &Name) -> Result<String> {
        Ok(format!("{}{}", self.root_uri()?, keys::audio(dataset)))
    }

    /// The store's place as a root of audio.
    pub fn root_uri(&self) -> Result<String> {
        Ok(source::root(&self.root)?)
    }
}

/// The queues of the feature workers' tasks.
pub async fn tasks(amqp: &Amqp) -> Result<[AmqpQueue; 2]> {
    Ok([amqp.queue(LANES[0]).await?, amqp.queue(LANES[1]).await?])
}

/// The queue of the trainings.
pub async fn trainings(amqp: &Amqp) -> Result<AmqpQueue> {
    Ok(amqp.queue("trainings").await?)
}

/// The queue of shards to be predicted.
pub async fn predictions(amqp: &Amqp) -> Result<AmqpQueue> {
    Ok(amqp.queue("predictions").await?)
}

/// The time, for whoever is told it.
pub fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant(since.as_secs() as i64)
}

/// Says what this process does, again and again.
pub async fn beats(amqp: &Amqp, role: &str, process: &str, fill: impl Fn(&mut Beat)) {
    let mut tick = tokio::time::interval(BEAT_EVERY);
    loop {
        tick.tick().await;
        let mut beat = Beat {
            version: WIRE_VERSION,
            process: process.to_owned(),
            role: role.to_owned(),
            ..Beat::default()
        };
        fill(&mut beat);
        amqp.publish_beat(beat.encode_to_vec().into());
    }
}

/// Names this process among all of an installation.
pub fn process(role: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let random = since.unwrap_or_default().subsec_nanos();
    format!("{role}-{}-{}-{random:x}", host.trim(), std::process::id())
}
