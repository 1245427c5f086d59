//! Settings that come in groups: the S3 server, the cache, the log.

use serde::{Deserialize, Serialize};

/// How to reach an S3 server, where the environment's `AWS_*` do not say it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// URL of the server.
    pub endpoint: String,
    /// Region of the bucket.
    pub region: String,
    /// Whether buckets are named in the path.
    pub path_style: PathStyle,
}

/// Where a training keeps shards of a store that is far away.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// The folder; empty for none.
    pub folder: String,
    /// What it may take in MiB.
    pub mib: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { folder: String::new(), mib: 10 << 10 }
    }
}

/// Whether buckets are named in the path of a URL, not in its host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathStyle {
    /// Where the server has an endpoint of its own.
    #[default]
    Auto,
    /// In the path.
    Yes,
    /// In the host.
    No,
}

/// How a service logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON document a line.
    Json,
}
