//! The store of a request, and what is kept of it on this machine.

use std::sync::Arc;

use voxage_contract::training::Access;
use voxage_dataset::Cache;
use voxage_transport::{Dir, S3, S3Settings, Store};

use crate::Result;

/// Opens the store at a root, which must be there: a directory or `s3://bucket/prefix`.
///
/// # Errors
/// If it is not there or cannot be used.
pub async fn open(root: &str, access: &Access) -> Result<Arc<dyn Store>> {
    Ok(if root.starts_with("s3://") {
        Arc::new(S3::open(root, &s3(access)).await?)
    } else {
        Arc::new(Dir::open_existing(root)?)
    })
}

/// How S3 is reached.
#[must_use]
pub fn s3(access: &Access) -> S3Settings {
    S3Settings {
        endpoint: access.s3_endpoint.clone(),
        region: access.s3_region.clone(),
        path_style: access.s3_path_style,
    }
}

/// Opens the cache of a store that is far away, if one is named.
///
/// # Errors
/// If it cannot be used.
pub fn cache(root: &str, access: &Access) -> Result<Option<Cache>> {
    let named = access.cache.as_ref().filter(|_| root.starts_with("s3://"));
    let open =
        named.map(|cache| Cache::open(&cache.folder, cache.limit_mib.saturating_mul(1 << 20)));
    Ok(open.transpose()?)
}
