//! `voxage coordinator`: plans, dispatches, seals and reconciles, until it is stopped; and has
//! the page and the API.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Command;
use tracing::{info, warn};
use voxage_coordinator::Coordinator;
use voxage_coordinator::scene::Scene;
use voxage_coordinator::web::{Guard, LOOK_EVERY, Overviews, Site, random_token, routes, tell};
use voxage_service::{bind, listen};

use crate::settings::Keys;
use crate::{Call, ends, observe};

pub const KEYS: Keys = &[
    "root",
    "queue",
    "queue_name",
    "queue_ca",
    "audio_roots",
    "s3",
    "gate",
    "log_format",
    "listen",
];

pub fn command() -> Command {
    Command::new("coordinator")
        .about("Plan what is submitted, hand out tasks, seal what is complete; run one or several")
        .after_help(
            "It keeps nothing: stop it, kill it, start another at any time. It looks at the audio's \
             sizes and etags only below --root and --audio-roots. At --listen it has a page, an API \
             (/openapi.json), /healthz, /readyz and /metrics. Who changes something there must know \
             the token: VOXAGE_API_TOKEN, or on loopback the one in the URL that it logs.",
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let coordinator = Coordinator {
        store: call.resolved.settings.store().await?,
        amqp: call.resolved.settings.amqp().await?,
        sources: call.resolved.settings.allowed_sources()?,
        process: ends::process("coordinator"),
    };
    serve(&call, &coordinator).await?;
    coordinator.run(call.stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Has the page and the API, as long as this process lives.
async fn serve(call: &Call, coordinator: &Coordinator) -> Result<()> {
    let settings = &call.resolved.settings;
    if settings.listen.is_empty() {
        return Ok(());
    }
    let listener = match bind(&settings.listen, "--listen").await {
        Ok(listener) => listener,
        // Nobody asked for it: one page is enough for several on one machine.
        Err(error) if call.resolved.is_default("listen") => {
            warn!("no page: {error}");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let address = listener.local_addr()?;
    let token = match settings.api_token.as_str() {
        "" if !address.ip().is_loopback() => bail!(
            "{address} can be reached from elsewhere: set VOXAGE_API_TOKEN to what whoever changes \
             something must know, or --listen on 127.0.0.1"
        ),
        "" => random_token()?,
        given if given.len() < 16 => bail!("api_token is too short: give it 16 characters or more"),
        given => given.to_owned(),
    };
    let Coordinator { store, amqp, sources, process } = coordinator;
    let site = Arc::new(Site {
        store: Arc::clone(store),
        store_uri: settings.root_uri()?,
        sources: sources.clone(),
        amqp: amqp.clone(),
        scene: Scene::open(amqp).await?,
        gate: settings.gate,
        spec: settings.spec.clone(),
        shards: settings.shard_limits(),
        process: process.clone(),
        overviews: Overviews::default(),
    });
    let metrics = observe::metrics("coordinator", Some(4 * LOOK_EVERY))?;
    let others = metrics.routes().merge(observe::health(store, amqp).routes());
    let routes = routes(Arc::clone(&site), Guard::new(&token, address), others);
    tokio::spawn(tell(site));
    tokio::spawn(listen(listener, routes));
    // A token that somebody chose is for nobody's log.
    let fragment =
        if settings.api_token.is_empty() { format!("#token={token}") } else { String::new() };
    info!("page and API: http://{address}/{fragment}");
    Ok(())
}
