//! The connection to the broker, made again when it is lost. Whoever finds it broken
//! asks for it again; pauses between attempts are theirs to make.
//!
//! lapin can recover connections itself. That is not used: it replays what it has seen,
//! which is not enough when the broker comes back without its data, and it hides from a
//! publisher which confirms are lost.

use std::fmt::{self, Display};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::{Channel, Connection, ConnectionProperties, ConnectionStatus, ErrorKind};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;
use voxage_contract::Kind;

use crate::{Error, Result};

use super::address::Address;
use super::error::{failed, timed_out};

/// The longest wait for an answer of a broker that is well.
pub(crate) const ANSWER: Duration = Duration::from_secs(15);

/// Pause between looks whether a connection that is closed is gone.
const LOOK: Duration = Duration::from_millis(20);

/// The broker's answer to a call, unless it is an error or takes too long.
pub(crate) async fn answered<T>(
    what: impl Display,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T> {
    match timeout(ANSWER, call).await {
        Ok(answer) => answer.map_err(|error| failed(what, &error)),
        Err(_) => Err(timed_out(what)),
    }
}

/// A connection that is made again when it is lost.
pub(crate) struct Link {
    address: Address,
    tls: OwnedTLSConfig,
    name: String,
    connection: Mutex<Option<Connection>>,
    closed: CancellationToken,
    /// That of the newest connection.
    status: std::sync::Mutex<Option<ConnectionStatus>>,
    /// Consumers that the broker does not know of now.
    silent: AtomicUsize,
}

/// A consumer that the broker does not know of, as long as this is held.
pub(crate) struct Silent(Arc<Link>);

impl Silent {
    pub(crate) fn on(link: &Arc<Link>) -> Self {
        link.silent.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(link))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.0.silent.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Link {
    pub(crate) async fn open(
        address: Address,
        ca_file: Option<&Path>,
        name: &str,
    ) -> Result<Arc<Self>> {
        let cert_chain = ca_file.map(read_certificates).transpose()?;
        let link = Self {
            address,
            tls: OwnedTLSConfig { identity: None, cert_chain },
            name: name.into(),
            connection: Mutex::default(),
            closed: CancellationToken::new(),
            status: std::sync::Mutex::default(),
            silent: AtomicUsize::default(),
        };
        *link.connection.lock().await = Some(link.connect().await?);
        Ok(Arc::new(link))
    }

    /// A new channel, on a new connection if need be.
    ///
    /// # Errors
    /// Transient, unless the link was closed: a broker that knew this user once and refuses
    /// it now may be on its way up, before it has read its users and virtual hosts.
    pub(crate) async fn channel(&self) -> Result<Channel> {
        let mut connection = self.connection.lock().await;
        if self.closed.is_cancelled() {
            return Err(self.is_closed());
        }
        let live = match connection.take() {
            Some(live) if live.status().connected() => live,
            lost => {
                let made = self.connect().await.map_err(transient)?;
                if lost.is_some() {
                    info!(broker = %self.address, "connected again");
                }
                made
            }
        };
        let what = format!("open a channel to {}", self.address);
        // A connection that does not answer is not kept.
        let channel = answered(&what, live.create_channel()).await.map_err(transient)?;
        *connection = Some(live);
        Ok(channel)
    }

    async fn connect(&self) -> Result<Connection> {
        let what = format!("connect to the queue's broker at {}", self.address);
        let runtime = lapin::runtime::default_runtime().map_err(|error| failed(&what, &error))?;
        let connect = || {
            let properties =
                ConnectionProperties::default().with_connection_name(self.name.as_str().into());
            let (uri, tls) = (self.address.uri(), self.tls.clone());
            Connection::connect_uri_with_config(uri, properties, tls, runtime.clone())
        };
        let connecting = async {
            match connect().await {
                // A greeting that came in pieces: seen once in some thousand connections.
                Err(error) if matches!(error.kind(), ErrorKind::ParsingError(_)) => connect().await,
                connected => connected,
            }
        };
        let made = answered(&what, connecting).await?;
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.status().clone());
        Ok(made)
    }

    /// Whether the broker is there and knows all consumers; if not, what is missing.
    pub(crate) fn ready(&self) -> Result<(), String> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if !status.as_ref().is_some_and(ConnectionStatus::connected) {
            return Err(format!("no connection to {}", self.address));
        }
        match self.silent.load(Ordering::Relaxed) {
            0 => Ok(()),
            n => Err(format!("{n} consumers are not registered at {}", self.address)),
        }
    }

    /// Closes the connection for good.
    pub(crate) async fn close(&self) {
        self.closed.cancel();
        if let Some(live) = self.connection.lock().await.take() {
            let status = live.status();
            // A channel that is dropped at this very moment breaks the connection, and lapin
            // then answers nobody. What is unsettled comes again either way.
            let broken = async {
                while status.connected() || status.closing() {
                    sleep(LOOK).await;
                }
            };
            // Whatever comes of it: nobody uses it any more.
            tokio::select! {
                _ = timeout(ANSWER, live.close(200, "closed".into())) => {}
                () = broken => {}
            }
        }
    }

    /// Returns when the connection was closed for good.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// What a call on a closed connection gets.
    pub(crate) fn is_closed(&self) -> Error {
        Error::Queue {
            what: format!("use the queue at {}", self.address),
            text: "this process has closed it".into(),
            kind: Kind::Permanent,
        }
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.is_cancelled() { Err(self.is_closed()) } else { Ok(()) }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The error as one that time may mend.
fn transient(error: Error) -> Error {
    match error {
        Error::Queue { what, text, .. } => Error::Queue { what, text, kind: Kind::Transient },
        other => other,
    }
}

fn read_certificates(path: &Path) -> Result<String> {
    let what = || format!("read the CA file {}", path.display());
    let wrong = |text: String| Error::Queue { what: what(), text, kind: Kind::Permanent };
    let pem = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    if pem.contains("-----BEGIN CERTIFICATE-----") {
        Ok(pem)
    } else {
        Err(wrong("it holds no certificate in PEM".into()))
    }
}
