//! A connection to an S3 server: where it is, who asks, how long to wait and how often to
//! ask again.
//!
//! Always holds: a request that gets no answer, or one that says "later", is sent again
//! after a growing, random pause, until [`PATIENCE`] is over or the budget of retries that
//! all requests to the server share is spent (the SDK's standard mode: 500 tokens, 5 to 10
//! a retry, given back by what succeeds). So a server that is down ends as a transient
//! error after about a minute, and one that many wait for is not overrun when it comes back.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{ConfigLoader, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction, RetryConfig, RetryPartition};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, Region, StalledStreamProtectionConfig};

use crate::s3::failure::Failure;
use crate::s3::location::redacted;
use crate::s3::quiet::Quiet;
use crate::{Error, Result};

/// How long a small request may take with all its retries.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long one attempt of a small request may take.
const ATTEMPT: Duration = Duration::from_secs(20);

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// Attempts at most, and the longest pause between two: on average 35 s in all.
const ATTEMPTS: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long a body may stand still before it is given up.
const STALLED: Duration = Duration::from_secs(20);

/// Bodies may come or go as slowly as this.
const SLOWEST_BYTES_PER_S: u64 = 256 << 10;

/// Settings that go before the environment's (`AWS_ENDPOINT_URL_S3`, `AWS_REGION`,
/// `AWS_PROFILE` and so on). Keys come from the environment or its profiles alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// URL of the server; none for the environment's, or AWS itself.
    pub endpoint: Option<String>,
    /// Region of the bucket; none for the environment's. A server with an endpoint of its
    /// own is taken to be in `us-east-1` if nothing is said.
    pub region: Option<String>,
    /// Whether buckets are named in the path, not in the host; none for: where there is
    /// an endpoint.
    pub path_style: Option<bool>,
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint.as_deref().map(redacted))
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .finish()
    }
}

/// A connection to an S3 server.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) client: Client,
    endpoint: Option<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("endpoint", &self.endpoint).finish()
    }
}

impl Server {
    /// Finds the server and the keys; asks nothing of the server yet.
    pub(crate) async fn find(settings: &S3Settings) -> Result<Self> {
        Self::find_as(settings, None).await
    }

    /// Finds the server, with the environment's keys if none are given.
    pub(crate) async fn find_as(settings: &S3Settings, keys: Option<Credentials>) -> Result<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = settings.endpoint.clone().or_else(|| variable("AWS_ENDPOINT_URL_S3"));
        let mut loader = aws_config::defaults(aws_config::BehaviorVersion::latest());
        if let Some(keys) = keys {
            loader = loader.credentials_provider(keys);
        }
        let config = region(loader, settings, endpoint.is_some()).load().await;
        let endpoint = endpoint.or_else(|| config.endpoint_url().map(str::to_owned));
        if endpoint.as_deref().is_some_and(|url| url.contains('@')) {
            let uri = endpoint.as_deref().map(redacted).unwrap_or_default();
            let why = "an endpoint has no user: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
            return Err(Error::BadUri { uri, why });
        }
        let server = Self { client: client(&config, settings, endpoint.as_deref()), endpoint };
        let keys = config.credentials_provider();
        let found = match &keys {
            Some(keys) => keys.provide_credentials().await.map(drop),
            None => Ok(()),
        };
        match found {
            Ok(()) => Ok(server),
            Err(error) => Err(Failure::no_credentials(&error).during(server.what("use", ""))),
        }
    }

    /// What is tried, for an error's text.
    pub(crate) fn what(&self, verb: &str, uri: &str) -> String {
        let place = self.endpoint.as_deref().unwrap_or("AWS");
        let uri = if uri.is_empty() { "S3" } else { uri };
        format!("{verb} {uri} at {place}")
    }
}

/// The region: as set, else as the environment or a profile has it, else any for a server
/// that is not of AWS. Only then AWS's machines are asked, which is slow elsewhere.
fn region(loader: ConfigLoader, settings: &S3Settings, own_endpoint: bool) -> ConfigLoader {
    let chain = RegionProviderChain::first_try(settings.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    if own_endpoint {
        loader.region(chain.or_else(Region::new("us-east-1")))
    } else {
        loader.region(chain.or_default_provider())
    }
}

fn client(config: &SdkConfig, settings: &S3Settings, endpoint: Option<&str>) -> Client {
    let retries =
        RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(LONGEST_PAUSE);
    let stalled = StalledStreamProtectionConfig::enabled().grace_period(STALLED).build();
    let place = endpoint.unwrap_or("AWS").to_owned();
    let mut builder = Builder::from(config)
        .interceptor(Quiet { place, said: Mutex::default() })
        .retry_config(retries)
        .retry_classifier(Conflict)
        .retry_partition(RetryPartition::new(format!("s3 {}", endpoint.unwrap_or_default())))
        .timeout_config(timeouts(0))
        .stalled_stream_protection(stalled)
        .force_path_style(settings.path_style.unwrap_or(endpoint.is_some()));
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    Client::from_conf(builder.build())
}

/// Timeouts of a request that sends a body of some size.
pub(crate) fn timeouts(n_bytes: u64) -> TimeoutConfig {
    let body = transfer(n_bytes);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT + body)
        .operation_timeout(PATIENCE + body)
        .build()
}

/// How long a body of some size may be under way.
pub(crate) fn transfer(n_bytes: u64) -> Duration {
    Duration::from_secs(n_bytes / SLOWEST_BYTES_PER_S)
}

/// Of several conditional puts at a time, S3 may end one with 409 before it knows who won:
/// asked again, it knows.
#[derive(Debug)]
struct Conflict;

impl ClassifyRetry for Conflict {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(answer) if answer.status().as_u16() == 409 => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "conflict of conditional puts"
    }
}
