//! What audio this process may read, and reading it.
//!
//! Always holds: nothing outside the allowed roots is read, wherever a path or a link
//! leads. What is wrong with one recording is a reject; what is wrong with the disk, the
//! network, the keys or the settings is an error.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use voxage_contract::Reject;

use super::{Audio, Stat, local, object, relative};
use crate::s3::{Location, S3Settings, Server};
use crate::{Dir, Error, Result, S3, Store};

/// The audio that this process may read. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sources(Arc<Inner>);

#[derive(Debug, Clone, Default)]
struct Inner {
    /// Roots, ending in '/'; none for any.
    allowed: Option<Vec<String>>,
    settings: S3Settings,
    /// Found when it is first needed.
    server: OnceCell<Server>,
}

impl Sources {
    /// Any audio that the person who started this process may read.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Only audio below one of these roots, each a URI.
    #[must_use]
    pub fn below(allowed: &[String]) -> Self {
        let ended = |root: &String| match root.ends_with('/') {
            true => root.clone(),
            false => format!("{root}/"),
        };
        let allowed = Some(allowed.iter().map(ended).collect());
        Self(Arc::new(Inner { allowed, ..Inner::default() }))
    }

    /// The same with settings for S3.
    #[must_use]
    pub fn with_s3(self, settings: S3Settings) -> Self {
        let allowed = self.0.allowed.clone();
        Self(Arc::new(Inner { allowed, settings, server: OnceCell::new() }))
    }

    /// The same on an S3 server that is found already.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn on(server: Server, allowed: Option<&[String]>) -> Self {
        let sources = allowed.map_or_else(Self::any, Self::below);
        let server = OnceCell::new_with(Some(server));
        Self(Arc::new(Inner { server, ..(*sources.0).clone() }))
    }

    /// Opens a recording: as it was `planned`, if it was, and no larger than the limit. An
    /// object is fetched: up to 32 MiB into memory, a larger one into a temporary file.
    ///
    /// # Errors
    /// The inner one, a reject, if the recording is at fault: `missing_audio`,
    /// `unreadable_audio`, `source_changed`, `too_large`. The outer one is permanent if
    /// the root may not be read here or S3 refuses the keys, else transient.
    pub async fn open(
        &self,
        root: &str,
        path: &str,
        planned: Option<&Stat>,
        limit_bytes: u64,
    ) -> Result<Result<Audio, Reject>> {
        let fence = self.fence(root)?.map(str::to_owned);
        if let Some(place) = place(root)? {
            let server = self.server().await?;
            return object::open(server, &place, path, planned, limit_bytes).await;
        }
        let (root, path, planned) = (root.to_owned(), path.to_owned(), planned.cloned());
        spawn_blocking(move || {
            let opened = local::open(&root, &path, planned.as_ref(), limit_bytes, fence.as_deref());
            let failed = |error| Error::io(format!("read {root}{path}"), error);
            opened.map(|audio| audio.map(Audio::from)).map_err(failed)
        })
        .await?
    }

    /// Size and etag of those recordings that are there and may be read, by their paths.
    /// S3 is asked for whole folders, not for each recording.
    ///
    /// # Errors
    /// As [`Sources::open`]'s outer one.
    pub async fn stats(&self, root: &str, paths: &[&str]) -> Result<HashMap<String, Stat>> {
        let fence = self.fence(root)?.map(str::to_owned);
        if let Some(place) = place(root)? {
            return object::stats(self.server().await?, &place, paths).await;
        }
        let root = root.to_owned();
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let stats = spawn_blocking(move || {
            let stats = paths.into_iter().filter_map(|path| {
                let stat = local::stat_within(&root, &path, fence.as_deref()).ok()?;
                Some((path, stat))
            });
            stats.collect()
        });
        Ok(stats.await?)
    }

    /// A root as a store to read from: for manifests, which lie where audio does.
    ///
    /// # Errors
    /// If the root may not be read here, is not there, or S3 refuses the keys.
    pub async fn folder(&self, root: &str) -> Result<Arc<dyn Store>> {
        self.fence(root)?;
        Ok(match root.strip_prefix("file://") {
            Some(folder) => Arc::new(Dir::open_existing(folder)?),
            None => Arc::new(S3::open_existing(root, &self.0.settings).await?),
        })
    }

    /// Whether links lead a file of a [`folder`](Self::folder) to where this process may not
    /// read.
    #[must_use]
    pub fn leads_out(&self, root: &str, path: &str) -> bool {
        let fence = self.fence(root).ok().flatten().filter(|_| root.starts_with("file://"));
        fence.is_some_and(|fence| local::stat_within(root, path, Some(fence)).is_err())
    }

    async fn server(&self) -> Result<&Server> {
        self.0.server.get_or_try_init(|| Server::find(&self.0.settings)).await
    }

    /// The allowed root that a root is in; none if any is allowed.
    fn fence(&self, root: &str) -> Result<Option<&str>> {
        let Some(allowed) = &self.0.allowed else { return Ok(None) };
        let within = allowed.iter().find(|allowed| root.starts_with(allowed.as_str()));
        match within {
            Some(fence) if is_plain(root) => Ok(Some(fence)),
            _ => Err(Error::RootNotAllowed { root: root.into(), allowed: allowed.join(", ") }),
        }
    }
}

/// The place in S3 that a root is; none if it is one of files.
fn place(root: &str) -> Result<Option<Location>> {
    root.starts_with("s3://").then(|| Location::parse(root)).transpose()
}

/// Whether a root is as [`super::root`] makes them: without steps that lead elsewhere.
fn is_plain(root: &str) -> bool {
    relative(root, "x").as_deref() == Some("x") && root.ends_with('/')
}
