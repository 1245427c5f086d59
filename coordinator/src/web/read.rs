//! What can be looked at.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use voxage_contract::keys;
use voxage_service::Problem;
use voxage_transport::StoreExt as _;

use super::{Answer, CSP, CSP_HEADER, REPORT_CSP, Site, name};
use crate::rejects::Page;
use crate::schedule::{self, Instant, Standing, State as Active};
use crate::{Error, registry, runs};

/// Rejects that are given at a time, at most.
const MOST_REJECTS: usize = 1000;

#[derive(Deserialize)]
pub(super) struct Asked {
    code: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn rejects(
    State(site): State<Arc<Site>>,
    Path(dataset): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer {
    let limit = asked.limit.unwrap_or(100).clamp(1, MOST_REJECTS);
    let (after, code) = (asked.after.as_deref(), asked.code.as_deref());
    let page = site.rejects(&name(&dataset)?, after, code, limit).await?;
    let Page { rejects, counts, uncounted, next } = page;
    let rejects: Vec<_> = rejects
        .iter()
        .map(|(recording, reject)| {
            json!({
                "id": recording.id, "path": recording.path,
                "stage": reject.stage, "code": reject.code, "message": reject.message,
            })
        })
        .collect();
    Ok(Json(json!({
        "rejects": rejects, "counts": counts, "uncounted": uncounted, "next": next,
    })))
}

pub(super) async fn dead(State(site): State<Arc<Site>>) -> Answer {
    let (letters, total) = site.letters().await?;
    Ok(Json(json!({ "dead": *letters, "total": total })))
}

pub(super) async fn runs(State(site): State<Arc<Site>>) -> Answer {
    let mut all = runs::runs(&*site.store).await?;
    let at = |run: &runs::Run| run.last.map_or(f64::INFINITY, |last| last.at_unix_s);
    all.sort_by(|a, b| at(b).total_cmp(&at(a)));
    Ok(Json(json!({ "runs": all })))
}

pub(super) async fn run(State(site): State<Arc<Site>>, Path(run): Path<String>) -> Answer {
    let run = runs::run(&*site.store, &run).await?;
    let metrics = runs::metrics(&*site.store, &run.run).await?;
    Ok(Json(json!({ "run": run, "metrics": metrics })))
}

pub(super) async fn models(State(site): State<Arc<Site>>) -> Answer {
    Ok(Json(json!({ "models": registry::versions(&*site.store, None).await? })))
}

pub(super) async fn history(State(site): State<Arc<Site>>, Path(model): Path<String>) -> Answer {
    let model = name(&model)?;
    let promotions = registry::history(&*site.store, &model).await?;
    if promotions.is_empty() && registry::versions(&*site.store, Some(&model)).await?.is_empty() {
        return Err(Error::NoVersion(format!("model '{model}'")).into());
    }
    Ok(Json(json!({ "promotions": promotions })))
}

pub(super) async fn report(
    State(site): State<Arc<Site>>,
    Path((model, version)): Path<(String, u64)>,
) -> Answer<Response> {
    let html = beside(&site, &model, version, "report.html").await?;
    let kind = "text/html; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind), (CSP_HEADER, REPORT_CSP)], html).into_response())
}

pub(super) async fn card(
    State(site): State<Arc<Site>>,
    Path((model, version)): Path<(String, u64)>,
) -> Answer<Response> {
    let text = beside(&site, &model, version, "card.md").await?;
    let kind = "text/markdown; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind), (CSP_HEADER, CSP)], text).into_response())
}

/// What lies beside a version.
async fn beside(
    site: &Site,
    model: &str,
    version: u64,
    file: &str,
) -> Result<bytes::Bytes, Problem> {
    let model = name(model)?;
    registry::card(&*site.store, &model, version).await?;
    let key = format!("{}{file}", keys::version(&model, version));
    site.store.get_opt(&key).await.map_err(Error::from)?.ok_or_else(|| {
        let message = format!("{model}@{version} has none beside it: `voxage report {model}@{version} --out FILE` makes one");
        Problem::new(StatusCode::NOT_FOUND, "not_found", message)
    })
}

pub(super) async fn schedules(State(site): State<Arc<Site>>) -> Answer {
    let mut all = Vec::new();
    for standing in schedule::schedules(&*site.store).await? {
        let firings = schedule::recent(&*site.store, &standing.name).await?;
        all.push(scheduled(&standing, firings.last())?);
    }
    Ok(Json(json!({ "schedules": all })))
}

/// A schedule with its next and its last firing.
pub(super) fn scheduled(
    standing: &Standing,
    last: Option<&schedule::Firing>,
) -> Result<Value, Problem> {
    let schedule = &standing.schedule;
    let calendar = schedule.calendar()?;
    let next = calendar.next(now().max(schedule.since));
    let next = next.filter(|_| schedule.state == Active::Active);
    Ok(json!({
        "schedule": standing,
        "next": next,
        "next_local": next.map(|next| next.local(calendar.zone)),
        "last": last,
    }))
}

pub(super) async fn firings(State(site): State<Arc<Site>>, Path(schedule): Path<String>) -> Answer {
    let name = name(&schedule)?;
    schedule::latest(&*site.store, &name).await?;
    let mut firings = schedule::firings(&*site.store, &name).await?;
    firings.reverse();
    Ok(Json(json!({ "firings": firings })))
}

/// The time.
pub(super) fn now() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Instant(since.unwrap_or_default().as_secs() as i64)
}
