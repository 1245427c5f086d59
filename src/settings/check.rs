//! What settings must be, beyond their types.

use anyhow::{Result, anyhow, bail};

use voxage_contract::training::Architecture;

use super::{Settings, redacted};

impl Settings {
    pub(super) fn check(&self) -> Result<()> {
        for (key, value) in [
            ("slots", self.slots as u64),
            ("shard_recordings", self.shard_recordings as u64),
            ("shard_mib", self.shard_mib),
            ("cache.mib", self.cache.mib),
            ("spec.limits.mib", self.spec.limits.mib),
            ("spec.limits.duration_s", self.spec.limits.duration_s),
            ("spec.limits.channels", self.spec.limits.channels),
            ("spec.limits.extract_s", self.spec.limits.extract_s),
            ("upkeep.checkpoints", self.upkeep.checkpoints as u64),
            ("upkeep.loader_threads", self.upkeep.loader_threads as u64),
        ] {
            if value == 0 {
                bail!("setting {key} must be at least 1");
            }
        }
        for (key, value, most) in [
            ("slots", self.slots as u64, 1024),
            ("upkeep.loader_threads", self.upkeep.loader_threads as u64, 1024),
            ("spec.limits.channels", self.spec.limits.channels, 255),
        ] {
            if value > most {
                bail!("setting {key} must be at most {most}");
            }
        }
        if self.upkeep.checkpoint_s < 0.0 {
            bail!("setting upkeep.checkpoint_s must be at least 0");
        }
        if let Some((scheme, _)) = self.root.split_once("://")
            && scheme != "s3"
        {
            bail!(
                "setting root is '{}': {scheme}:// is no store that voxage has, give a directory or s3://bucket/prefix",
                redacted(&self.root)
            );
        }
        let is_amqp = self.queue.starts_with("amqp://") || self.queue.starts_with("amqps://");
        if !self.queue.is_empty() && !is_amqp {
            // What it is instead may hold a password.
            bail!(
                "setting queue is no URL like amqp://user:password@host:port/vhost, or amqps://…"
            );
        }
        if self.train.architecture == Architecture::Blend {
            bail!(
                "setting train.architecture: no training makes a blend, `voxage models blend` does"
            );
        }
        self.train.check().map_err(|why| anyhow!("setting {why}"))
    }
}
