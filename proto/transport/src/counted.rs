//! A store whose bytes are counted.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use metrics::counter;

use crate::{Listing, ObjectMeta, Put, Result, Store};

/// A store whose bytes are counted, by direction.
#[derive(Debug)]
pub struct Counted(pub Arc<dyn Store>);

fn count(direction: &'static str, bytes: usize) {
    counter!("voxage_store_bytes_total", "direction" => direction).increment(bytes as u64);
}

#[async_trait]
impl Store for Counted {
    async fn get(&self, key: &str) -> Result<Bytes> {
        self.0.get(key).await.inspect(|bytes| count("read", bytes.len()))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        self.0.get_range(key, range).await.inspect(|bytes| count("read", bytes.len()))
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.0.head(key).await
    }

    fn list<'a>(&'a self, prefix: &str, after: Option<&str>) -> Listing<'a> {
        self.0.list(prefix, after)
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.0.local_path(key)
    }

    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<Put> {
        let size = bytes.len();
        let put = self.0.put_new(key, bytes).await?;
        if put == Put::Created {
            count("written", size);
        }
        Ok(put)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.0.delete(key).await
    }
}
