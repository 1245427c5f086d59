//! Who may read, and who may change something.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use voxage_service::Problem;

/// Names under which a server on loopback is meant.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Bytes of a refusal in plain text.
const MOST_SAID: usize = 4 << 10;

/// Lets those through who may.
#[derive(Clone)]
pub struct Guard {
    /// Digest of the token: two of them can be compared in the same time, however alike.
    token: [u8; 32],
    /// Whether only this machine can reach it.
    loopback: bool,
}

impl Guard {
    /// A guard of an address who knows the token.
    #[must_use]
    pub fn new(token: &str, address: SocketAddr) -> Self {
        Self { token: Sha256::digest(token).into(), loopback: address.ip().is_loopback() }
    }

    /// Lets a request through that knows the token.
    pub(super) async fn token(&self, request: Request, next: Next) -> Response {
        let given = request.headers().get(header::AUTHORIZATION);
        let given = given.and_then(|given| given.to_str().ok()?.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let given = given.map(|(_, token)| token);
        if given.is_some_and(|given| <[u8; 32]>::from(Sha256::digest(given)) == self.token) {
            return next.run(request).await;
        }
        let message = "send 'Authorization: Bearer TOKEN', with the coordinator's api_token, or \
                       the token of the URL that it has logged";
        let mut refused =
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", message).into_response();
        let scheme = HeaderValue::from_static("Bearer");
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        refused
    }

    /// Lets a request through that means this server: a page of another site can have a name
    /// of its own lead to loopback. What it gets is for it alone.
    pub(super) async fn host(&self, request: Request, next: Next) -> Response {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let name = host.map(|host| match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        });
        if self.loopback
            && !name.is_some_and(|name| LOOPBACK.contains(&&*name.to_ascii_lowercase()))
        {
            let message = "this server is for its own machine: call it localhost or 127.0.0.1";
            return Problem::new(StatusCode::FORBIDDEN, "other_host", message).into_response();
        }
        let mut response = in_json(next.run(request).await).await;
        let headers = response.headers_mut();
        for (name, value) in [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-store"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// What is refused before it reaches a handler, as all other refusals are told.
async fn in_json(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let plain = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !plain || !response.status().is_client_error() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let said = to_bytes(body, MOST_SAID).await.unwrap_or_default();
    Problem::new(parts.status, "bad_request", String::from_utf8_lossy(&said)).into_response()
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("loopback", &self.loopback).finish_non_exhaustive()
    }
}

/// A token that nobody can guess.
///
/// # Errors
/// If the system has no random numbers.
pub fn random_token() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
