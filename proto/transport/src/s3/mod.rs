//! A bucket of an S3 server as a store.
//!
//! Always holds: an object is created by one conditional put (`If-None-Match: *`), whose
//! bytes the server checks; a server that does not keep the condition is refused when the
//! store is opened to write. If the answer to a put that succeeded is lost, the put is sent
//! again and finds its own object: [`Put::Exists`].
//! It does not know what servers cost.

mod failure;
mod list;
mod location;
mod quiet;
mod read;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use voxage_contract::{Kind, keys};

pub(crate) use failure::Failure;
pub(crate) use list::{Folder, list};
pub(crate) use location::{Location, redacted};
pub(crate) use read::{collect, read, size_bytes, spool};
pub use server::S3Settings;
pub(crate) use server::Server;

use crate::store::{Listing, ObjectMeta, Put, Store, checked};
use crate::{Error, Result};

/// The most that S3 takes in one put.
const LARGEST_PUT: u64 = 5 << 30;

/// A bucket of an S3 server, below a prefix, as a store. Cheap to clone.
#[derive(Clone)]
pub struct S3 {
    server: Server,
    place: Location,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3({:?}, {})", self.server, self.place.uri())
    }
}

impl S3 {
    /// Opens `s3://bucket/prefix` to read and write, with the keys of the environment.
    ///
    /// # Errors
    /// Permanent if the URI names no bucket, there are no keys or they are refused, the
    /// bucket is not there, or the server does not keep the condition of a put; transient
    /// if it does not answer.
    pub async fn open(uri: &str, settings: &S3Settings) -> Result<Self> {
        let place = Location::parse(uri)?;
        Self::on(Server::find(settings).await?, place).await
    }

    /// Opens `s3://bucket/prefix` for one who only reads: there must be something.
    ///
    /// # Errors
    /// As [`S3::open`]; permanent if nothing is there.
    pub async fn open_existing(uri: &str, settings: &S3Settings) -> Result<Self> {
        let place = Location::parse(uri)?;
        Self { server: Server::find(settings).await?, place }.existing().await
    }

    /// Opens `s3://bucket/prefix` without a proof that the server keeps the condition of a put:
    /// for what nobody else writes.
    ///
    /// # Errors
    /// As [`S3::open`].
    pub async fn unproved(uri: &str, settings: &S3Settings) -> Result<Self> {
        let place = Location::parse(uri)?;
        Ok(Self { server: Server::find(settings).await?, place })
    }

    async fn existing(self) -> Result<Self> {
        let first = self.list("", None).try_next().await?;
        first.map(|_| self.clone()).ok_or_else(|| Error::NoStore(self.place.uri().into()))
    }

    /// Opens a place on a server, if the server keeps the condition of a put: if the
    /// probe is there, a put must fail, or else the next one must.
    pub(crate) async fn on(server: Server, place: Location) -> Result<Self> {
        let store = Self { server, place };
        let probe = Bytes::from_static(b"voxage puts this twice: the second put must fail\n");
        for _ in 0..2 {
            if store.put_new(keys::PROBE, probe.clone()).await? == Put::Exists {
                return Ok(store);
            }
        }
        let why = "the server overwrote an object that it was told to keep: it lacks conditional \
                   puts (If-None-Match), without which two workers can overwrite each other. Use \
                   AWS S3, MinIO, SeaweedFS, Ceph or another server that has them";
        let what = store.what("open", "");
        Err(Error::S3 { what, why: why.into(), kind: Kind::Permanent })
    }

    fn key(&self, key: &str) -> Result<String> {
        Ok(format!("{}{}", self.place.prefix, checked(key)?))
    }

    fn what(&self, verb: &str, key: &str) -> String {
        self.server.what(verb, &format!("{}{key}", self.place.uri()))
    }

    /// What a failed request on an object means.
    fn failed(&self, verb: &str, key: &str, failure: Failure) -> Error {
        if failure.is_missing() {
            Error::NotFound(key.to_owned())
        } else {
            failure.during(self.what(verb, key))
        }
    }

    fn request(&self, key: &str) -> Result<GetObjectFluentBuilder> {
        Ok(self.server.client.get_object().bucket(&self.place.bucket).key(self.key(key)?))
    }
}

#[async_trait]
impl Store for S3 {
    async fn get(&self, key: &str) -> Result<Bytes> {
        let body = read(self.request(key)?, collect).await;
        body.map_err(|failure| self.failed("read", key, failure))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let (start, end) = (range.start, range.end);
        let bad = || Error::BadRange { key: key.into(), start, end };
        if end <= start {
            let size = self.head(key).await?.size;
            return if start == end && end <= size { Ok(Bytes::new()) } else { Err(bad()) };
        }
        let request = self.request(key)?.range(format!("bytes={start}-{}", end - 1));
        match read(request, collect).await {
            Ok(bytes) if bytes.len() as u64 == end - start => Ok(bytes),
            Ok(_) => Err(bad()),
            Err(failure) if failure.status == Some(416) => Err(bad()),
            Err(failure) => Err(self.failed("read", key, failure)),
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        let request = self.server.client.head_object().bucket(&self.place.bucket);
        let found = request.key(self.key(key)?).send().await;
        let found = found.map_err(|error| self.failed("look at", key, Failure::of(&error)))?;
        let size = found.content_length().and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let changed_unix_s = found.last_modified().map_or(0, DateTime::secs);
        Ok(ObjectMeta { key: key.into(), size, changed_unix_s })
    }

    fn list<'a>(&'a self, prefix: &str, after: Option<&str>) -> Listing<'a> {
        let what = self.what("list", prefix);
        let folder = Folder {
            bucket: self.place.bucket.clone(),
            prefix: format!("{}{prefix}", self.place.prefix),
            after: after.map(|after| format!("{}{after}", self.place.prefix)),
            alone: false,
        };
        let (above, after) = (self.place.prefix.len(), after.map(str::to_owned));
        let objects = list(&self.server, folder).map_err(move |error| error.during(what.clone()));
        objects
            .try_filter_map(move |object| {
                let key = object.key.get(above..).unwrap_or_default();
                // Some servers begin behind `after` in an order of their own; consoles mark
                // folders by objects whose names end in '/'.
                let counts =
                    after.as_deref().is_none_or(|after| key > after) && checked(key).is_ok();
                let meta = ObjectMeta {
                    key: key.to_owned(),
                    size: object.size_bytes,
                    changed_unix_s: object.changed_unix_s,
                };
                async move { Ok(counts.then_some(meta)) }
            })
            .boxed()
    }

    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<Put> {
        let n_bytes = bytes.len() as u64;
        if n_bytes > LARGEST_PUT {
            let why = format!("{n_bytes} bytes are more than S3 takes at once, 5 GiB");
            return Err(Error::S3 { what: self.what("write", key), why, kind: Kind::Permanent });
        }
        let request = self.server.client.put_object().bucket(&self.place.bucket);
        let request = request
            .key(self.key(key)?)
            .if_none_match("*")
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(bytes.into());
        let patience = aws_sdk_s3::Config::builder().timeout_config(server::timeouts(n_bytes));
        match request.customize().config_override(patience).send().await {
            Ok(_) => Ok(Put::Created),
            Err(error) => match Failure::of(&error) {
                failure if failure.status == Some(412) => Ok(Put::Exists),
                failure => Err(failure.during(self.what("write", key))),
            },
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let request = self.server.client.delete_object().bucket(&self.place.bucket);
        match request.key(self.key(key)?).send().await.map_err(|error| Failure::of(&error)) {
            Err(failure) if !failure.is_missing() => Err(failure.during(self.what("delete", key))),
            _ => Ok(()),
        }
    }
}
