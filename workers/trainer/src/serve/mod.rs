//! Predictions over HTTP.
//!
//! Always holds: what is in memory is bounded: so many bytes of bodies, so many jobs, one
//! recording at a time for each slot. A request that cannot be served says so at once, and
//! why. A new champion is taken up while the old one still answers.

mod http;
mod metrics;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use voxage_contract::training::{Event, ServeRequest};
use voxage_service::{bind, listen};

use crate::models::Models;
use crate::{Result, store};
use http::Front;
use metrics::Metrics;
use work::{Loaded, Shop};

/// Between two looks for a new champion.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long requests in hand may take after a stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until it is asked to stop.
///
/// # Errors
/// If there is no such model, the address is taken, or the store fails at the start.
pub fn serve(
    request: &ServeRequest,
    runtime: &Handle,
    stop: &AtomicBool,
    say: &mut dyn FnMut(Event),
) -> Result<()> {
    let store = runtime.block_on(store::open(&request.root, &request.access))?;
    let models = Models { store: &*store, runtime };
    let mut key = models.find(&request.model)?;
    let metrics = Arc::new(Metrics::default());
    let shop = Shop::open(Loaded::load(models, &key, request)?, request, Arc::clone(&metrics))?;
    let listener = runtime.block_on(bind(&request.listen, "--listen"))?;
    let address = listener.local_addr().map_or_else(|_| request.listen.clone(), |a| a.to_string());
    let front = Arc::new(Front {
        shop: shop.counter(),
        metrics,
        room: Arc::new(Semaphore::new((request.memory_mib << 10) as usize)),
        body_bytes: (request.body_mib << 20) as usize,
        timeout: Duration::from_secs_f64(request.timeout_s),
        duration_s: request.duration_s,
    });
    let served = runtime.spawn(listen(listener, http::routes(Arc::clone(&front))));
    say(Event::Serving { address, model: key.clone() });
    let mut next_look = LOOK_EVERY;
    let mut waited = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) && !served.is_finished() {
        std::thread::sleep(Duration::from_millis(100));
        waited += Duration::from_millis(100);
        if waited < next_look {
            continue;
        }
        next_look = waited + LOOK_EVERY;
        // A store that is away for a while is no reason to stop answering.
        let found = models.find(&request.model);
        match found.and_then(|found| {
            if found == key { Ok(None) } else { Loaded::load(models, &found, request).map(Some) }
        }) {
            Ok(None) => {}
            Ok(Some(loaded)) => {
                key.clone_from(&loaded.key);
                say(Event::Note { message: format!("{key} answers now") });
                shop.change(loaded);
            }
            Err(error) => {
                let message = format!("{key} goes on to answer, not the champion: {error}");
                say(Event::Warning { message });
            }
        }
    }
    say(Event::Note { message: "stopping: requests in hand are answered".into() });
    served.abort();
    runtime.block_on(async {
        let left = async {
            while front.metrics.in_hand() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(GRACE, left).await;
    });
    Ok(())
}
