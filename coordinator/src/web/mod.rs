//! The coordinator's page and API: what the store and the broker say, and the few things that
//! a person may change.
//!
//! Always holds: nothing is kept here but what was looked up a moment ago; whoever changes
//! something must know the token, in a header that no other site's page can send. On loopback
//! the host's name is checked too, so that no other site's page can read it.

mod change;
mod gauges;
mod guard;
mod overview;
mod read;

use std::sync::Arc;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use voxage_contract::{FeatureSpec, Kind, Name, ShardLimits};
use voxage_service::Problem;
use voxage_transport::source::Sources;
use voxage_transport::{Amqp, Store};

use crate::registry::Gate;
use crate::scene::Scene;
use crate::{Error, Result};

pub use gauges::{LOOK_EVERY, tell};
pub use guard::{Guard, random_token};
pub use overview::{Overview, Overviews};

/// What the page and the API work with.
#[derive(Debug)]
pub struct Site {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The store's place as a root of audio.
    pub store_uri: String,
    /// The audio that may be read for whoever submits.
    pub sources: Sources,
    /// The connection to the broker.
    pub amqp: Amqp,
    /// What is at the broker.
    pub scene: Scene,
    /// What a version must do to become the champion.
    pub gate: Gate,
    /// Features of a new data set.
    pub spec: FeatureSpec,
    /// How a new data set is cut.
    pub shards: ShardLimits,
    /// The name of this process.
    pub process: String,
    /// What was looked up of late.
    pub overviews: Overviews,
}

/// Everything that there is, behind the guard; `others` beside the page and the API.
pub fn routes(site: Arc<Site>, guard: Guard, others: Router) -> Router {
    let changes = Router::new()
        .route("/api/v1/datasets/{dataset}/batches", post(change::submit))
        .route("/api/v1/datasets/{dataset}/batches/{batch}/cancel", post(change::cancel))
        .route("/api/v1/dead/{action}", post(change::dead))
        .route("/api/v1/models/{model}/promote", post(change::promote))
        .route("/api/v1/models/{model}/rollback", post(change::rollback))
        .route("/api/v1/schedules/{schedule}/{action}", post(change::schedule));
    let knows = guard.clone();
    let changes = changes.route_layer(middleware::from_fn(move |request, next| {
        let knows = knows.clone();
        async move { knows.token(request, next).await }
    }));
    Router::new()
        .route("/api/v1/overview", get(overview::overview))
        .route("/api/v1/datasets/{dataset}/rejects", get(read::rejects))
        .route("/api/v1/dead", get(read::dead))
        .route("/api/v1/runs", get(read::runs))
        .route("/api/v1/runs/{run}", get(read::run))
        .route("/api/v1/models", get(read::models))
        .route("/api/v1/models/{model}/history", get(read::history))
        .route("/models/{model}/{version}/report", get(read::report))
        .route("/models/{model}/{version}/card", get(read::card))
        .route("/api/v1/schedules", get(read::schedules))
        .route("/api/v1/schedules/{schedule}/firings", get(read::firings))
        .merge(changes)
        .with_state(site)
        .merge(assets())
        .merge(others)
        .method_not_allowed_fallback(|| async { Problem::method() })
        .fallback(|| async { Problem::not_found() })
        .layer(middleware::from_fn(move |request, next| {
            let guard = guard.clone();
            async move { guard.host(request, next).await }
        }))
}

/// The page; nothing of it comes from anywhere else.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                   connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A report has no script, and its style within.
const REPORT_CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const CSP_HEADER: HeaderName = header::CONTENT_SECURITY_POLICY;

fn assets() -> Router {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    macro_rules! assets {
        ($($path:literal, $file:literal, $kind:expr;)*) => {
            Router::new()$(.route($path, get(|| async {
                served($kind, include_bytes!(concat!("assets/", $file)).as_slice())
            })))*
        };
    }
    assets! {
        "/", "index.html", "text/html; charset=utf-8";
        "/style.css", "style.css", "text/css; charset=utf-8";
        "/app.js", "app.js", SCRIPT;
        "/api.js", "api.js", SCRIPT;
        "/dom.js", "dom.js", SCRIPT;
        "/learning.js", "learning.js", SCRIPT;
        "/plot.js", "plot.js", SCRIPT;
        "/schedules.js", "schedules.js", SCRIPT;
        "/talk.js", "talk.js", SCRIPT;
        "/words.js", "words.js", SCRIPT;
        "/work.js", "work.js", SCRIPT;
        "/openapi.json", "openapi.json", "application/json";
    }
}

fn served(kind: &'static str, bytes: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, kind), (CSP_HEADER, CSP)], bytes).into_response()
}

/// The answer of a handler.
type Answer<T = axum::Json<serde_json::Value>> = Result<T, Problem>;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::Empty(_)
            | Error::NoBatch(_)
            | Error::NoRun(_)
            | Error::NoVersion(_)
            | Error::NoSchedule(_)
            | Error::NoStudy(_) => (StatusCode::NOT_FOUND, "not_found"),
            Error::Registry(_) | Error::Schedule(_) | Error::SeveralRuns(_) => {
                (StatusCode::CONFLICT, "conflict")
            }
            Error::Manifest { .. } | Error::Structure { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "bad_manifest")
            }
            _ if error.kind() == Kind::Transient => (StatusCode::SERVICE_UNAVAILABLE, "away"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        };
        Self::new(status, code, error.to_string())
    }
}

/// A name of the path.
fn name(text: &str) -> Result<Name, Problem> {
    let bad = |error| Problem::new(StatusCode::BAD_REQUEST, "bad_name", format!("{error}"));
    text.parse().map_err(bad)
}
