//! The HTTP side: routes, limits, and what goes wrong in JSON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::{get, post};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use voxage_contract::Gender;
use voxage_service::{Health, Problem};

use super::metrics::Metrics;
use super::work::{Answer, Counter, Job};

/// Bytes of fields of a form beside the audio.
const FIELD_BYTES: usize = 4 << 10;

/// What every request may use.
pub(super) struct Front {
    pub(super) shop: Counter,
    pub(super) metrics: Arc<Metrics>,
    /// KiB of bodies that are in memory together.
    pub(super) room: Arc<Semaphore>,
    /// Bytes of one body.
    pub(super) body_bytes: usize,
    /// How long a request may take.
    pub(super) timeout: Duration,
    /// How long a recording may be, in seconds.
    pub(super) duration_s: u64,
}

/// What there is.
pub(super) fn routes(front: Arc<Front>) -> Router {
    Router::new()
        .route("/v1/predict", post(predict))
        .route("/v1/model", get(model))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .method_not_allowed_fallback(|| async { Problem::method() })
        .fallback(|| async { Problem::not_found() })
        // Bodies are counted as they come.
        .layer(DefaultBodyLimit::disable())
        .with_state(front)
        .merge(Health::default().routes())
}

async fn metrics(State(front): State<Arc<Front>>) -> Response {
    let text = front.metrics.text(&front.shop.about().key);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn openapi() -> Response {
    let text = include_str!("openapi.json");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn model(State(front): State<Arc<Front>>) -> Response {
    let about = front.shop.about();
    Json(json!({
        "model": about.key,
        "architecture": about.architecture,
        "coverage": about.coverage,
        "spec": about.spec,
    }))
    .into_response()
}

async fn predict(
    State(front): State<Arc<Front>>,
    Query(query): Query<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let start = Instant::now();
    let _in_hand = front.metrics.begin();
    let answered = tokio::time::timeout(front.timeout, answer(&front, query, request)).await;
    let answered = answered.unwrap_or_else(|_| {
        let message = format!("it took more than {} s", front.timeout.as_secs_f64());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", message))
    });
    let response = match answered {
        Ok((id, answer)) => {
            front.metrics.audio(answer.duration_s);
            let Answer { age, interval, warnings, model, .. } = answer;
            let body = json!({
                "id": id,
                "age": age,
                "interval": interval,
                "warnings": warnings,
                "model": model,
            });
            Json(body).into_response()
        }
        Err(problem) => problem.into_response(),
    };
    front.metrics.end(response.status().as_u16(), start.elapsed());
    response
}

async fn answer(
    front: &Front,
    query: Vec<(String, String)>,
    request: Request,
) -> Result<(Option<String>, Answer), Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > front.body_bytes) {
        return Err(too_large(front));
    }
    let mut room = Room { front, held: None, bytes: 0 };
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("multipart/form-data"));
    let mut fields = BTreeMap::new();
    for (name, value) in query {
        add(&mut fields, name, value)?;
    }
    let audio = if is_form {
        form(&mut room, request, &mut fields).await?
    } else {
        body(&mut room, request.into_body()).await?
    };
    if audio.is_empty() {
        let message = "send the audio file as the body, or as field 'audio' of a form";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "no_audio", message));
    }
    let id = fields.remove("id");
    let gender = match fields.remove("gender") {
        Some(text) => gender(&text)?,
        None => Gender::Unspecified,
    };
    let given = given(front, fields)?;
    let (answer, answered) = oneshot::channel();
    let job = Job { audio, _room: room.held, gender, given, answer };
    if !front.shop.hand_in(job) {
        let message = "all slots are taken and enough requests wait: try again";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message));
    }
    match answered.await {
        Ok(Ok(answer)) => Ok((id, answer)),
        Ok(Err(reject)) if reject.stage == "predict" => {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, &reject.code, reject.message))
        }
        Ok(Err(reject)) if reject.code == "too_long" => {
            let message =
                format!("a recording may have {} s here (--duration-s)", front.duration_s);
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_long", message))
        }
        Ok(Err(reject)) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, &reject.code, reject.message))
        }
        Err(_) => {
            let message = "the model changed meanwhile: try again";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message))
        }
    }
}

/// Room for a body in memory: taken as it comes, so that a length that is only claimed costs
/// nothing, and held until the recording is out of memory.
struct Room<'a> {
    front: &'a Front,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Room<'_> {
    /// Takes room for some more bytes.
    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let kib = |bytes: usize| bytes.div_ceil(1 << 10);
        let more = kib(self.bytes + bytes) - kib(self.bytes);
        self.bytes += bytes;
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.front.room).try_acquire_many_owned(more) else {
            let message = "the recordings of others take all the memory: try again";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message));
        };
        match &mut self.held {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }
}

fn too_large(front: &Front) -> Problem {
    let message = format!("a body may have {} MiB", front.body_bytes >> 20);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

/// A body, no longer than it may be.
async fn body(room: &mut Room<'_>, body: Body) -> Result<Bytes, Problem> {
    let (mut stream, mut all) = (body.into_data_stream(), BytesMut::new());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        if all.len() + chunk.len() > room.front.body_bytes {
            return Err(too_large(room.front));
        }
        room.grow(chunk.len())?;
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

fn broken(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "broken_body", error.to_string())
}

/// Adds a field, which nobody may give twice.
fn add(fields: &mut BTreeMap<String, String>, name: String, value: String) -> Result<(), Problem> {
    if fields.contains_key(&name) {
        let message = format!("'{name}' is given twice");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "twice", message));
    }
    fields.insert(name, value);
    Ok(())
}

/// The audio of a form; its other fields are added to `fields`.
async fn form(
    room: &mut Room<'_>,
    request: Request,
    fields: &mut BTreeMap<String, String>,
) -> Result<Bytes, Problem> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| broken(&error))?;
    let (mut audio, mut others) = (Bytes::new(), 0);
    while let Some(mut field) = form.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let is_audio = name == "audio";
        let misplaced = if is_audio { !audio.is_empty() } else { field.file_name().is_some() };
        if misplaced {
            let message = match is_audio {
                true => "'audio' is given twice".to_owned(),
                false => format!("the recording belongs in the field 'audio', not in '{name}'"),
            };
            return Err(Problem::new(StatusCode::BAD_REQUEST, "unknown_field", message));
        }
        let limit = if is_audio { room.front.body_bytes } else { FIELD_BYTES - others };
        let mut all = BytesMut::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
            if all.len() + chunk.len() > limit {
                return Err(too_large(room.front));
            }
            room.grow(chunk.len())?;
            all.extend_from_slice(&chunk);
        }
        if is_audio {
            audio = all.freeze();
        } else {
            others += all.len();
            let text = String::from_utf8(all.to_vec());
            add(fields, name, text.map_err(|error| broken(&error))?)?;
        }
    }
    Ok(audio)
}

fn gender(text: &str) -> Result<Gender, Problem> {
    Gender::parse(text).ok_or_else(|| {
        let message = format!("gender '{text}' is neither female nor male");
        Problem::new(StatusCode::BAD_REQUEST, "bad_gender", message)
    })
}

/// Tabular columns that the client knows.
fn given(
    front: &Front,
    fields: BTreeMap<String, String>,
) -> Result<BTreeMap<String, f64>, Problem> {
    let spec = front.shop.about().spec;
    let number = |(name, text): (String, String)| {
        if !spec.columns().any(|column| column.name == name) {
            let message = format!("'{name}' is none of id, gender and the model's columns");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "unknown_field", message));
        }
        match text.trim().parse::<f64>() {
            Ok(value) if value.is_finite() => Ok((name, value)),
            _ => {
                let message = format!("'{text}' of '{name}' is no number");
                Err(Problem::new(StatusCode::BAD_REQUEST, "bad_number", message))
            }
        }
    };
    fields.into_iter().map(number).collect()
}
