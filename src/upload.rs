//! Audio into the store: each file once, under the digest of what is in it.
//!
//! Always holds: what is there is not sent again, so an upload that was cut off goes on
//! where it was. A path without a file is a recording that carries its reject.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::spawn_blocking;
use voxage_contract::digest::Digest;
use voxage_contract::{Name, Recording, Reject, keys};
use voxage_coordinator::rejects::UPLOADED_FROM;
use voxage_transport::{Store, StoreExt as _};

use crate::progress::Progress;

/// Larger files are for other tools: one is held in memory while it is sent.
const MOST_MIB: u64 = 512;

/// Where each uploaded file is: its name below the upload root, by its path.
#[derive(Debug, Clone, Default)]
pub struct Uploaded(HashMap<String, String>);

impl Uploaded {
    /// Makes a recording one of the uploaded file; a reject, if there was none.
    pub fn place(&self, recording: &mut Recording) {
        if let Some(name) = self.0.get(&recording.path) {
            let path = std::mem::replace(&mut recording.path, name.clone());
            recording.metadata.insert(UPLOADED_FROM.into(), path);
        } else if recording.reject.is_none() {
            let message = format!("{} was no file when the audio was uploaded", recording.path);
            recording.reject = Some(Reject::new("fetch", "missing_audio", message));
        }
    }
}

/// Puts the audio at some paths below a local root into the store, `width` files at a time.
pub async fn upload(
    store: &dyn Store,
    dataset: &Name,
    audio_root: &str,
    mut paths: Vec<String>,
    width: usize,
) -> Result<Uploaded> {
    let Some(folder) = audio_root.strip_prefix("file://") else {
        bail!("{audio_root} is in S3 already: submit without --upload");
    };
    paths.sort_unstable();
    paths.dedup();
    let prefix = keys::audio(dataset);
    let there: BTreeSet<String> = store.keys(&prefix).await?.into_iter().collect();
    let (total, mut progress) = (paths.len() as u64, Progress::new("upload", paths.len() as u64));
    let files: Vec<_> =
        paths.into_iter().map(|path| one(store, folder, &prefix, &there, path)).collect();
    let mut sent = stream::iter(files).buffer_unordered(2 * width.max(1));
    let (mut uploaded, mut new, mut bytes) = (Uploaded::default(), 0, 0);
    while let Some((path, name, size)) = sent.try_next().await? {
        if let Some(name) = name {
            uploaded.0.insert(path, name);
        }
        (new, bytes) = (new + u64::from(size > 0), bytes + size);
        progress.set(uploaded.0.len() as u64, total, &format!("{} MiB sent", bytes >> 20));
    }
    progress.finish(&format!(
        "{} files, {new} of them sent, {} MiB",
        uploaded.0.len(),
        bytes >> 20
    ));
    Ok(uploaded)
}

/// Puts one file, unless it is there: its name, if it can be read, and the bytes sent.
async fn one(
    store: &dyn Store,
    folder: &str,
    prefix: &str,
    there: &BTreeSet<String>,
    path: String,
) -> Result<(String, Option<String>, u64)> {
    let file = Path::new(folder).join(&path);
    let read = spawn_blocking(move || match std::fs::metadata(&file) {
        Ok(metadata) if metadata.len() > MOST_MIB << 20 => bail!(
            "{} has more than {MOST_MIB} MiB: copy it into the bucket by other means and submit \
             with --audio-root s3://…",
            file.display()
        ),
        Ok(metadata) if metadata.is_file() => {
            let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
            let digest = Digest::new("audio").part(&bytes).hex();
            let kind = file.extension().and_then(|kind| kind.to_str()).unwrap_or("audio");
            Ok(Some((format!("{digest}.{}", kind.to_lowercase()), bytes)))
        }
        _ => Ok(None),
    });
    let Some((name, bytes)) = read.await?? else { return Ok((path, None, 0)) };
    let (key, size) = (format!("{prefix}{name}"), bytes.len() as u64);
    if there.contains(&key) {
        return Ok((path, Some(name), 0));
    }
    store.put_new(&key, bytes.into()).await?;
    Ok((path, Some(name), size))
}
