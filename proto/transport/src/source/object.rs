//! Audio in S3.
//!
//! Always holds: what is read is the object that was planned, by its etag; its size is
//! looked at before its bytes are fetched.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::pin::pin;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use voxage_contract::Reject;

use super::{Audio, Stat, changed, fetch, missing, relative};
use crate::Result;
use crate::s3::{Failure, Folder, Location, Server, collect, list, read, size_bytes, spool};

/// Objects up to this size are held in memory.
const HELD_BYTES: u64 = 32 << 20;

/// Objects that are tried when one may not be read.
const LOOKED_AT: usize = 8;

/// Folders that are listed at a time.
const FOLDERS: usize = 16;

/// Opens a recording: see [`super::Sources::open`].
pub(super) async fn open(
    server: &Server,
    place: &Location,
    path: &str,
    planned: Option<&Stat>,
    limit_bytes: u64,
) -> Result<Result<Audio, Reject>> {
    let uri = format!("{}{path}", place.uri());
    if relative(&place.uri(), path).as_deref() != Some(path) {
        let message = format!("{uri} may not be read: the path leaves its audio root");
        return Ok(Err(fetch("unreadable_audio", message)));
    }
    let etag = planned.map(|planned| &planned.etag).filter(|etag| !etag.is_empty());
    let request = server.client.get_object().bucket(&place.bucket);
    let request = request
        .key(format!("{}{path}", place.prefix))
        .set_if_match(etag.map(|etag| format!("\"{etag}\"")));
    let planned_bytes = planned.map(|planned| planned.size_bytes);
    let opened = read(request, async |answer| {
        let n_bytes = size_bytes(&answer);
        if planned_bytes.is_some_and(|planned| planned != n_bytes) {
            return Ok(Err(changed(path)));
        }
        if n_bytes > limit_bytes {
            return Ok(Err(Reject::too_large(limit_bytes >> 20)));
        }
        receive(answer, n_bytes).await.map(Ok)
    });
    match opened.await {
        Ok(opened) => Ok(opened),
        Err(failure) if failure.is_denied() && is_shut(server, place).await => {
            Err(failure.during(server.what("read", &uri)))
        }
        Err(failure) => rejected(failure, path, &uri).map_or_else(
            |failure| Err(failure.during(server.what("read", &uri))),
            |reject| Ok(Err(reject)),
        ),
    }
}

async fn receive(answer: GetObjectOutput, n_bytes: u64) -> Result<Audio, Failure> {
    if n_bytes <= HELD_BYTES {
        collect(answer).await.map(Audio::from)
    } else {
        spool(answer).await.map(Audio::from)
    }
}

/// Whether none of a root's first objects may be read: that is the keys' fault, which must not
/// cost the recordings.
async fn is_shut(server: &Server, place: &Location) -> bool {
    let (bucket, prefix) = (place.bucket.clone(), place.prefix.clone());
    let mut objects = pin!(list(server, Folder { bucket, prefix, after: None, alone: false }));
    for _ in 0..LOOKED_AT {
        let object = match objects.try_next().await {
            Ok(Some(object)) => object,
            Ok(None) => return true,
            // Who may not list may read what others have listed.
            Err(_) => return false,
        };
        let first = server.client.get_object().bucket(&place.bucket).key(object.key);
        match first.range("bytes=0-0").send().await {
            Err(error) if Failure::of(&error).is_denied() => {}
            _ => return false,
        }
    }
    true
}

/// Tells the recording's fault from the world's.
fn rejected(failure: Failure, path: &str, uri: &str) -> Result<Reject, Failure> {
    if failure.is_missing() {
        Ok(missing(uri))
    } else if failure.status == Some(412) {
        Ok(changed(path))
    } else if failure.is_denied() || failure.is_no_key() {
        Ok(fetch("unreadable_audio", format!("{uri} may not be read: {}", failure.why)))
    } else {
        Err(failure)
    }
}

/// Size and etag of the recordings that are there: see [`super::Sources::stats`].
pub(super) async fn stats(
    server: &Server,
    place: &Location,
    paths: &[&str],
) -> Result<HashMap<String, Stat>> {
    let mut folders = BTreeMap::<&str, Vec<&str>>::new();
    for path in paths {
        let (folder, _) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
        folders.entry(folder).or_default().push(path);
    }
    let listed = folders.into_iter().map(|(folder, paths)| listed(server, place, folder, paths));
    // Not a lazy one: such a future could not move between threads.
    let listed: Vec<_> = listed.collect();
    let stats = stream::iter(listed).buffer_unordered(FOLDERS);
    stats.try_concat().await
}

/// What a folder has of some paths in it. It is listed from the least to the greatest.
async fn listed(
    server: &Server,
    place: &Location,
    folder: &str,
    paths: Vec<&str>,
) -> Result<HashMap<String, Stat>> {
    let mut stats = HashMap::new();
    let (Some(least), Some(greatest)) = (paths.iter().min(), paths.iter().max()) else {
        return Ok(stats);
    };
    // A listing begins behind a key: behind one that is a little less than the least.
    let mut before = least.chars();
    before.next_back();
    let range = Folder {
        bucket: place.bucket.clone(),
        prefix: format!("{}{folder}", place.prefix),
        after: Some(format!("{}{}", place.prefix, before.as_str())),
        alone: true,
    };
    let wanted: HashSet<&str> = paths.iter().copied().collect();
    let mut objects = pin!(list(server, range));
    let failed = |failure: Failure| failure.during(server.what("list", &place.uri()));
    while let Some(object) = objects.try_next().await.map_err(failed)? {
        let path = object.key.get(place.prefix.len()..).unwrap_or_default();
        if path > *greatest {
            break;
        }
        if wanted.contains(path) {
            let stat = Stat { size_bytes: object.size_bytes, etag: object.etag };
            stats.insert(path.to_owned(), stat);
        }
    }
    Ok(stats)
}
