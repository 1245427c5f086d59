//! Whether a service is alive, and whether it can do its work.
//!
//! Always holds: alive is who answers; ready is who reaches all that his work needs, asked
//! anew each time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::future::{BoxFuture, join_all};

/// How long a part may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks a part of the world whether it is there; if not, why.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What a service needs for its work.
#[derive(Clone, Default)]
pub struct Health(Vec<(&'static str, Check)>);

impl Health {
    /// Needs this, too.
    #[must_use]
    pub fn needs(mut self, name: &'static str, check: Check) -> Self {
        self.0.push((name, check));
        self
    }

    /// `/healthz` and `/readyz`.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(move || async move { self.ready().await }))
    }

    async fn ready(&self) -> Response {
        let asked = self.0.iter().map(|(name, check)| async move {
            match tokio::time::timeout(PATIENCE, check()).await {
                Ok(Ok(())) => None,
                Ok(Err(why)) => Some(format!("{name}: {why}\n")),
                Err(_) => Some(format!("{name}: no answer within {PATIENCE:?}\n")),
            }
        });
        let missing: String = join_all(asked).await.into_iter().flatten().collect();
        match missing.is_empty() {
            true => "ready\n".into_response(),
            false => (StatusCode::SERVICE_UNAVAILABLE, missing).into_response(),
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn ready_is_who_has_all_that_he_needs() {
        let part = |answer: Result<(), &str>| -> Check {
            let answer = answer.map_err(str::to_owned);
            Arc::new(move || {
                let answer = answer.clone();
                Box::pin(async move { answer })
            })
        };
        let told = async |health: Health| {
            let response = health.ready().await;
            let (status, body) = (response.status(), response.into_body());
            (status, String::from_utf8(to_bytes(body, 1000).await.unwrap().to_vec()).unwrap())
        };
        let well = Health::default().needs("store", part(Ok(())));
        assert_eq!(told(well.clone()).await, (StatusCode::OK, "ready\n".into()));
        let ill = well.needs("queue", part(Err("nobody answers")));
        let answer = (StatusCode::SERVICE_UNAVAILABLE, "queue: nobody answers\n".into());
        assert_eq!(told(ill).await, answer);
    }
}
