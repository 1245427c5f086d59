//! What a person may change, who knows the token.

use std::io::Write as _;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::task::spawn_blocking;
use voxage_contract::training::Reason;
use voxage_contract::wire::WIRE_VERSION;
use voxage_contract::{BatchId, Beat, keys};
use voxage_service::Problem;
use voxage_transport::source;

use super::read::{now, scheduled};
use super::{Answer, Site, name};
use crate::check::check_some;
use crate::dead::{self, Choice};
use crate::register::{self, Register};
use crate::schedule::{self, State as Active};
use crate::{Error, Submission, registry};

/// Largest manifest that is taken, in bytes.
const MOST_BYTES: usize = 256 << 20;

/// Problems of a manifest that are told.
const MOST_PROBLEMS: u64 = 20;

fn refused(status: StatusCode, code: &str, message: impl Into<String>) -> Problem {
    Problem::new(status, code, message)
}

#[derive(Deserialize)]
pub(super) struct Where {
    audio_root: Option<String>,
}

/// Takes a manifest in as a batch.
pub(super) async fn submit(
    State(site): State<Arc<Site>>,
    Path(dataset): Path<String>,
    Query(place): Query<Where>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let dataset = name(&dataset)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let end = match kind.map(|kind| kind.split(';').next().unwrap_or_default().trim()) {
        Some("text/csv") => ".csv",
        Some("text/tab-separated-values") => ".tsv",
        Some("application/vnd.apache.parquet") => ".parquet",
        _ => {
            let message = "send text/csv, text/tab-separated-values or \
                           application/vnd.apache.parquet";
            return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_type", message));
        }
    };
    let file = spooled(body, end).await?;
    let root = match place.audio_root.filter(|root| !root.is_empty()) {
        Some(root) => {
            let bad = |error| refused(StatusCode::BAD_REQUEST, "bad_root", format!("{error}"));
            let root = source::root(&root).map_err(bad)?;
            // What may not be read here would all be rejects.
            site.sources.folder(&root).await.map_err(bad)?;
            root
        }
        None => format!("{}{}", site.store_uri, keys::audio(&dataset)),
    };
    let (path, paths_root) = (file.path().to_owned(), root.clone());
    let checked = spawn_blocking(move || check_some(&path, &paths_root, MOST_PROBLEMS, |_, _| {}));
    let checked = checked.await.map_err(Error::from)?.map_err(unnamed)?;
    let told: Vec<_> = checked.structural().map(|problem| cut(problem.to_string())).collect();
    if checked.refused > 0 {
        let more = checked.refused - told.len() as u64;
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let message = format!("{}{more}", told.join("; "));
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, "bad_manifest", message));
    }
    // As the data set was submitted before.
    let newest = Register::read(&*site.store, &dataset).await?.newest();
    let (spec, shards) = match newest {
        Some(newest) => {
            let batch = crate::submit::read(&*site.store, &dataset, newest).await?;
            (batch.spec, batch.shards)
        }
        None => (site.spec.clone(), site.shards),
    };
    let submission = Submission {
        manifest: file.path().to_owned(),
        paths_root: root.clone(),
        audio_root: root,
        dataset: dataset.clone(),
        spec,
        shards,
        stat_sources: true,
        scheduled: false,
    };
    let done = crate::submit(&*site.store, submission, |_| {}, |_| {}).await.map_err(unnamed)?;
    let beat = Beat {
        version: WIRE_VERSION,
        process: site.process.clone(),
        role: "submit".into(),
        dataset: dataset.to_string(),
        ..Beat::default()
    };
    site.amqp.publish_beat(beat.encode_to_vec().into());
    site.changed().await;
    Ok(Json(json!({
        "batch": done.batch, "recordings": done.recordings, "new": done.new, "rejects": checked.rejects,
    })))
}

/// The beginning of what may be as long as a cell of somebody's table.
fn cut(mut text: String) -> String {
    if text.len() > 500 {
        text.truncate(text.floor_char_boundary(500));
        text.push('…');
    }
    text
}

/// A body as a file that is gone when it is dropped.
async fn spooled(body: Body, end: &str) -> Result<tempfile::NamedTempFile, Problem> {
    let lost = |error: std::io::Error| {
        refused(StatusCode::INTERNAL_SERVER_ERROR, "failed", format!("a temporary file: {error}"))
    };
    let mut file = tempfile::Builder::new().suffix(end).tempfile().map_err(lost)?;
    let (mut stream, mut bytes) = (body.into_data_stream(), 0);
    while let Some(chunk) = stream.next().await {
        let broken = |error| refused(StatusCode::BAD_REQUEST, "broken_body", format!("{error}"));
        let chunk = chunk.map_err(broken)?;
        bytes += chunk.len();
        if bytes > MOST_BYTES {
            let message = "a manifest may have 256 MiB here: `voxage submit` takes larger ones";
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
        }
        file.write_all(&chunk).map_err(lost)?;
    }
    Ok(file)
}

/// The error of a manifest that came without a name.
fn unnamed(error: Error) -> Problem {
    let error = match error {
        Error::Manifest { source, .. } => Error::Manifest { path: "manifest".into(), source },
        Error::Structure { problem, .. } => Error::Structure { path: "manifest".into(), problem },
        other => other,
    };
    error.into()
}

pub(super) async fn cancel(
    State(site): State<Arc<Site>>,
    Path((dataset, number)): Path<(String, u64)>,
) -> Answer {
    let batch = BatchId { dataset: name(&dataset)?, number };
    let now = register::cancel(&*site.store, &batch).await?;
    site.changed().await;
    Ok(Json(json!({ "batch": batch, "cancelled": true, "before": !now })))
}

/// A body in JSON.
fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let bad = |error| refused(StatusCode::BAD_REQUEST, "bad_body", format!("{error}"));
    serde_json::from_slice(body).map_err(bad)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    #[serde(default)]
    shards: Vec<String>,
    reason: Option<String>,
    #[serde(default)]
    all: bool,
}

pub(super) async fn dead(
    State(site): State<Arc<Site>>,
    Path(action): Path<String>,
    body: Bytes,
) -> Answer {
    let Chosen { mut shards, reason, all } = parsed(&body)?;
    shards.retain(|shard| !shard.is_empty());
    let choice = Choice { shards, reason: reason.filter(|reason| !reason.is_empty()), all };
    if choice.is_empty() {
        let message = "say which: shards, reason, or all";
        return Err(refused(StatusCode::BAD_REQUEST, "nothing_chosen", message));
    }
    let tasks = match action.as_str() {
        "requeue" => site.settle(dead::requeue(site.scene.tasks(), &choice)).await?,
        "drop" => site.settle(dead::discard(site.scene.tasks(), &choice)).await?,
        _ => return Err(Problem::not_found()),
    };
    site.changed().await;
    Ok(Json(json!({ "tasks": tasks })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    version: u64,
    #[serde(default)]
    force: bool,
}

pub(super) async fn promote(
    State(site): State<Arc<Site>>,
    Path(model): Path<String>,
    body: Bytes,
) -> Answer {
    let Wanted { version, force } = parsed(&body)?;
    let (store, model) = (&*site.store, name(&model)?);
    let decision = match force {
        true => None,
        false => Some(registry::decide(store, &site.gate, &model, version).await?),
    };
    if let Some(no) = decision.as_ref().filter(|decision| !decision.promote) {
        return Ok(Json(json!({ "promoted": false, "decision": no })));
    }
    let (by, at) = (Reason::Hand, now());
    let promotion = registry::promote(store, &model, version, by, decision.as_ref(), at).await?;
    Ok(Json(json!({ "promoted": true, "promotion": promotion })))
}

pub(super) async fn rollback(State(site): State<Arc<Site>>, Path(model): Path<String>) -> Answer {
    let promotion = registry::rollback(&*site.store, &name(&model)?, now()).await?;
    Ok(Json(json!({ "promotion": promotion })))
}

pub(super) async fn schedule(
    State(site): State<Arc<Site>>,
    Path((schedule, action)): Path<(String, String)>,
) -> Answer {
    let (store, name) = (&*site.store, name(&schedule)?);
    let standing = schedule::schedule(store, &name).await?;
    let active = standing.schedule.state == Active::Active;
    match action.as_str() {
        "run-now" if !active => {
            return Err(refused(StatusCode::CONFLICT, "paused", "it is paused: resume it first"));
        }
        "run-now" => {
            let fired = schedule::run_now(store, &standing, &site.process, now()).await?;
            return Ok(Json(json!({ "firing": fired })));
        }
        "retry" => {
            let firing = schedule::retry(store, &name, now()).await?;
            return Ok(Json(json!({ "firing": firing })));
        }
        "pause" | "resume" => {}
        _ => return Err(Problem::not_found()),
    }
    let state = if action == "resume" { Active::Active } else { Active::Paused };
    schedule::set_state(store, &standing, state, now()).await?;
    let standing = schedule::schedule(store, &name).await?;
    let last = schedule::recent(store, &name).await?.pop();
    Ok(Json(scheduled(&standing, last.as_ref())?))
}
