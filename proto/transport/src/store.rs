//! The Store: objects that are created once, never changed, and seldom deleted.

use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::{Error, Result};

/// What a listing tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was created, in seconds since 1970, by the store's clock.
    pub changed_unix_s: i64,
}

/// The end of a conditional put. Either way the object is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// This call created it.
    Created,
    /// It was there already, and stays as it was.
    Exists,
}

/// A key, if it names an object: it is relative, without empty or hidden segments.
pub(crate) fn checked(key: &str) -> Result<&str> {
    let bad =
        key.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.contains('\0'));
    if bad { Err(Error::BadKey(key.into())) } else { Ok(key) }
}

/// Objects under a prefix, in no particular order across folders.
pub type Listing<'a> = BoxStream<'a, Result<ObjectMeta>>;

/// Objects that are created once and never changed.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// A whole object.
    async fn get(&self, key: &str) -> Result<Bytes>;

    /// Some bytes of an object; the range must lie within it.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes>;

    /// Size of an object.
    async fn head(&self, key: &str) -> Result<ObjectMeta>;

    /// The objects whose keys start with `prefix` and are greater than `after`.
    /// `prefix` is empty or ends in '/'.
    fn list<'a>(&'a self, prefix: &str, after: Option<&str>) -> Listing<'a>;

    /// The file that an object is, of a store on this machine, whether it is there or not.
    fn local_path(&self, _key: &str) -> Option<PathBuf> {
        None
    }

    /// Creates an object, durably and whole, unless it is there already. Of several
    /// concurrent calls exactly one gets [`Put::Created`].
    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<Put>;

    /// Deletes an object for ever; one that is not there is no error. Only for what nothing
    /// refers to any more.
    async fn delete(&self, key: &str) -> Result<()>;
}

/// What is built from a store's few calls.
#[async_trait]
pub trait StoreExt: Store {
    /// Whether there is such an object.
    async fn exists(&self, key: &str) -> Result<bool> {
        match self.head(key).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A whole object, or none.
    async fn get_opt(&self, key: &str) -> Result<Option<Bytes>> {
        match self.get(key).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The keys under a prefix, in byte order.
    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        let mut listing = self.list(prefix, None);
        while let Some(object) = listing.next().await {
            keys.push(object?.key);
        }
        keys.sort_unstable();
        Ok(keys)
    }
}

impl<S: Store + ?Sized> StoreExt for S {}
