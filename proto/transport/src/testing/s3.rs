//! A real S3 server for tests of this and other crates (feature `testing`).
//!
//! Always holds: the server belongs to one test and ends with it, however the test ends;
//! it is on 127.0.0.1, in a directory of its own. If `VOXAGE_TEST_S3` names a place such
//! as `s3://bucket/prefix`, the server that the environment's `AWS_*` lead to is used
//! instead; each test then has a prefix of its own, and leaves behind what it put there.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use bytes::Bytes;

use super::server;
use crate::s3::{Failure, Location, Server};
use crate::source::Sources;
use crate::{Result, S3, S3Settings};

/// What stops the server once its standard input ends: when the test drops it, or dies.
const WATCH: &str = r#"cat; "$0" stop "$1"; rm -rf "$1""#;

/// An S3 server of one test.
#[derive(Debug)]
pub struct TestS3 {
    server: Server,
    place: Location,
    env: Vec<(String, String)>,
    watch: Option<Child>,
}

impl TestS3 {
    /// Starts a server, or finds the one that `VOXAGE_TEST_S3` names.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let own = format!("test-{}-{}", std::process::id(), since.as_nanos());
        let named = std::env::var("VOXAGE_TEST_S3").ok().filter(|uri| !uri.is_empty());
        let (uri, env, watch) = match named {
            Some(uri) => (uri, Vec::new(), None),
            None => {
                let (env, watch) = tokio::task::spawn_blocking(begin).await.expect("start S3");
                ("s3://voxage".to_owned(), env, Some(watch))
            }
        };
        let place = Location::parse(&format!("{}/{own}", uri.trim_end_matches('/')));
        let place = place.expect("VOXAGE_TEST_S3 is like s3://bucket/prefix");
        let variable = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, v)| v.clone());
        let id = variable("AWS_ACCESS_KEY_ID");
        let keys = id.zip(variable("AWS_SECRET_ACCESS_KEY"));
        let keys = keys.map(|(id, secret)| Credentials::new(id, secret, None, None, "test"));
        let endpoint = variable("AWS_ENDPOINT_URL_S3");
        let settings = S3Settings { endpoint, ..S3Settings::default() };
        let server = Server::find_as(&settings, keys).await.expect("the S3 server");
        Self { server, place, env, watch }
    }

    /// The variables that lead a process to the server; none if it is the environment's.
    #[must_use]
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// A place of this test, ending in '/'.
    #[must_use]
    pub fn uri(&self, name: &str) -> String {
        format!("{}{name}/", self.place.uri())
    }

    /// A store of this test.
    ///
    /// # Errors
    /// As [`S3::open`].
    pub async fn store(&self, name: &str) -> Result<S3> {
        S3::on(self.server.clone(), Location::parse(&self.uri(name))?).await
    }

    /// Sources that may be read on this server: those below `allowed`, or any.
    #[must_use]
    pub fn sources(&self, allowed: Option<&[String]>) -> Sources {
        Sources::on(self.server.clone(), allowed)
    }

    /// Puts an object, over one that is there: stores never do, but audio changes.
    ///
    /// # Errors
    /// If the server does not take it.
    pub async fn put(&self, name: &str, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let request = self.server.client.put_object().bucket(&self.place.bucket);
        let key = format!("{}{name}/{key}", self.place.prefix);
        let request = request.key(&key).body(bytes.into().into());
        let failed = |error| Failure::of(&error).during(format!("put {key}"));
        request.send().await.map(drop).map_err(failed)
    }

    /// Lets nobody read objects whose keys are like one of `keys`; false if the server is not the
    /// test's own.
    ///
    /// # Panics
    /// If the server does not take it.
    pub async fn deny(&self, keys: &[&str]) -> bool {
        let Location { bucket, prefix } = &self.place;
        let resource = |key: &&str| format!(r#""arn:aws:s3:::{bucket}/{prefix}{key}""#);
        let resources = keys.iter().map(resource).collect::<Vec<_>>().join(",");
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":[{resources}]}}]}}"#
        );
        if self.watch.is_some() {
            let request = self.server.client.put_bucket_policy().bucket(bucket);
            request.policy(policy).send().await.expect("a policy");
        }
        self.watch.is_some()
    }
}

impl Drop for TestS3 {
    fn drop(&mut self) {
        if let Some(watch) = &mut self.watch {
            drop(watch.stdin.take());
            let _ = watch.wait();
        }
    }
}

/// Starts a server and what will stop it; gives the variables that lead to it.
fn begin() -> (Vec<(String, String)>, Child) {
    let folder = tempfile::tempdir().expect("a temporary directory").keep();
    let watch = Command::new("bash")
        .args(["-c", WATCH])
        .args([server("s3"), folder.clone()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Whoever kills the test with its children must leave this one.
        .process_group(0)
        .spawn()
        .expect("bash");
    (variables(&folder), watch)
}

fn variables(folder: &Path) -> Vec<(String, String)> {
    let started =
        Command::new(server("s3")).arg("start").arg(folder).output().expect("deploy/servers/s3");
    let why = String::from_utf8_lossy(&started.stderr);
    assert!(started.status.success(), "the S3 server did not start: {why}");
    let text = String::from_utf8_lossy(&started.stdout).into_owned();
    let variables = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
