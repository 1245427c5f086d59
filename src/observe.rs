//! What a service tells of itself: health and metrics over HTTP.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use futures::StreamExt as _;
use tracing::info;
use voxage_service::{Check, Health, Metrics, bind, listen};
use voxage_transport::{Amqp, Store};

use crate::settings::Settings;

/// Where nothing is: asking for it costs a store little.
const NOWHERE: &str = "readyz/";

/// Counts what this process does from now on; gauges that are not set for as long as they last
/// are told no more.
pub fn metrics(role: &'static str, lasts: Option<Duration>) -> Result<Metrics> {
    let about = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("commit", env!("VOXAGE_COMMIT").to_owned()),
        ("role", role.to_owned()),
    ];
    let metrics = Metrics::install(&about, lasts).map_err(|why| anyhow!(why))?;
    tokio::spawn(metrics.clone().upkeep());
    Ok(metrics)
}

/// A service is ready that reaches its store and whose consumers the broker knows.
pub fn health(store: &Arc<dyn Store>, amqp: &Amqp) -> Health {
    let (store, amqp) = (Arc::clone(store), amqp.clone());
    let reached: Check = Arc::new(move || {
        let store = Arc::clone(&store);
        Box::pin(async move {
            let found = store.list(NOWHERE, None).next().await;
            found.transpose().map(|_| ()).map_err(|error| error.to_string())
        })
    });
    let registered: Check = Arc::new(move || {
        let ready = amqp.ready();
        Box::pin(async move { ready })
    });
    Health::default().needs("store", reached).needs("queue", registered)
}

/// Answers at the address of the settings, if there is one, as long as this process lives.
pub async fn start(
    settings: &Settings,
    role: &'static str,
    store: &Arc<dyn Store>,
    amqp: &Amqp,
) -> Result<()> {
    let address = &settings.metrics_listen;
    if address.is_empty() {
        return Ok(());
    }
    let listener = bind(address, "--metrics-listen").await?;
    info!(address = %listener.local_addr()?, "health and metrics");
    let routes = metrics(role, None)?.routes().merge(health(store, amqp).routes());
    tokio::spawn(listen(listener, routes));
    Ok(())
}
