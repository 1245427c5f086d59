//! A server that does not answer is told of while it is asked again: the SDK's retries are
//! silent.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_s3::config::interceptors::FinalizerInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use metrics::counter;
use tracing::warn;

/// Between two words about the same server, whatever number of requests wait for it.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Says of a server that requests get no answer from it, or that it cannot serve them.
#[derive(Debug)]
pub(crate) struct Quiet {
    /// Where the server is.
    pub(crate) place: String,
    /// When that was said last.
    pub(crate) said: Mutex<Option<Instant>>,
}

impl Intercept for Quiet {
    fn name(&self) -> &'static str {
        "word of a quiet server"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let status = context.response().map(|response| response.status().as_u16());
        if status.is_some_and(|status| status < 500) {
            return Ok(());
        }
        counter!("voxage_store_retries_total").increment(1);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() > SAY_EVERY) {
            *said = Some(Instant::now());
            let answer = status.map_or("no answer".into(), |status| format!("status {status}"));
            warn!("{answer} from S3 at {}: asking again", self.place);
        }
        Ok(())
    }
}
