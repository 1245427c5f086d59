//! Connections: so many at a time, and each with little patience for its headers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::ListenError;

/// Connections at a time.
const CONNECTIONS: usize = 1024;

/// How long a client may take for its headers.
const HEADERS: Duration = Duration::from_secs(10);

/// A listener on an address, host:port, which the flag gave.
///
/// # Errors
/// If the address is none, or another process has it.
pub async fn bind(address: &str, flag: &'static str) -> Result<TcpListener, ListenError> {
    let failed = |source| ListenError { address: address.to_owned(), flag, source };
    TcpListener::bind(address).await.map_err(failed)
}

/// Answers connections until it is dropped; those that are open go on.
pub async fn listen(listener: TcpListener, routes: Router) {
    let open = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: others will end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let service = TowerToHyperService::new(routes.clone());
        tokio::spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
            // A connection that breaks is its client's business.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}
