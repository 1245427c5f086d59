//! A RabbitMQ node, by `deploy/servers/rabbitmq`.

use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::server;

/// A RabbitMQ node of one's own; stopped when dropped.
#[derive(Debug)]
pub struct RabbitMq {
    folder: TempDir,
    url: String,
    api: String,
}

impl RabbitMq {
    /// Starts a node and waits until it is ready, which takes some 7 seconds.
    ///
    /// # Panics
    /// If it does not start: `deploy/setup test` installs what it needs.
    #[must_use]
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// As [`start`](Self::start), with a node that takes back a message that is not settled
    /// for so long (its consumer timeout).
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_as(consumer_timeout: Option<Duration>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Some(timeout) = consumer_timeout {
            let setting = folder.path().join("rabbitmq");
            std::fs::create_dir(&setting).expect("the node's folder");
            let written = std::fs::write(setting.join("timeout"), timeout.as_millis().to_string());
            written.expect("the node's consumer timeout");
        }
        let env = script("start", &folder);
        let value = |name: &str| {
            let line = env.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
            line.expect("a setting of the node").to_owned()
        };
        let (url, api) = (value("VOXAGE_QUEUE"), value("VOXAGE_TEST_RABBITMQ_API"));
        Self { folder, url, api }
    }

    /// Its URL, with user and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of its management API, with user and password.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Stops it in good order.
    ///
    /// # Panics
    /// If that fails.
    pub fn stop(&self) {
        script("stop", &self.folder);
    }

    /// Kills it.
    ///
    /// # Panics
    /// If that fails.
    pub fn kill(&self) {
        script("kill", &self.folder);
    }

    /// Deletes the data of the stopped node.
    ///
    /// # Panics
    /// If that fails.
    pub fn erase(&self) {
        script("erase", &self.folder);
    }

    /// Starts it again, with the same ports, credentials and data.
    ///
    /// # Panics
    /// If that fails.
    pub fn start_again(&self) {
        script("start", &self.folder);
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the script prints.
fn script(verb: &str, folder: &TempDir) -> String {
    let output = Command::new(server("rabbitmq"))
        .arg(verb)
        .arg(folder.path())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("deploy/servers/rabbitmq");
    assert!(
        output.status.success(),
        "'deploy/servers/rabbitmq {verb}' failed: its reason is above"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
