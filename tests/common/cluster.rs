//! voxage across processes: a real broker, a real S3 server, and the command's services.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use voxage_transport::testing::{RabbitMq, TestS3};

use super::proxy::Proxy;
use super::{Place, stderr};

/// How long a batch may take, faults included.
const PATIENCE: Duration = Duration::from_secs(240);

pub struct Cluster {
    pub place: Place,
    pub broker: RabbitMq,
    pub s3: TestS3,
    /// Between everyone and the S3 server.
    pub s3_proxy: Proxy,
    /// Between some and the broker.
    pub broker_proxy: Proxy,
    pub runtime: tokio::runtime::Runtime,
    /// What is called; none for the command of this build.
    pub program: Option<PathBuf>,
    services: usize,
}

/// A service of the command; killed when dropped.
pub struct Service {
    pub child: Child,
    pub log: PathBuf,
}

impl Cluster {
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// As [`start`](Self::start), with a broker that takes back what is unsettled for so long.
    pub fn start_as(consumer_timeout: Option<Duration>) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let broker = std::thread::spawn(move || RabbitMq::start_as(consumer_timeout));
        let s3 = runtime.block_on(TestS3::start());
        let broker = broker.join().unwrap();
        let endpoint = s3.env().iter().find(|(name, _)| name == "AWS_ENDPOINT_URL_S3");
        let s3_proxy = Proxy::to(port(&endpoint.expect("a server of one's own").1));
        let broker_proxy = Proxy::to(port(broker.url()));
        let place = Place::new();
        Self { place, broker, s3, s3_proxy, broker_proxy, runtime, program: None, services: 0 }
    }

    /// The command, led to the servers.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match &self.program {
            Some(program) => super::command_of(program, args),
            None => super::command(args),
        };
        command.envs(self.s3.env().iter().map(|(name, value)| (name, value)));
        command.env("AWS_ENDPOINT_URL_S3", format!("http://127.0.0.1:{}", self.s3_proxy.port()));
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("VOXAGE_ROOT", self.s3.uri("root")).env("VOXAGE_QUEUE", self.broker.url());
        command
    }

    /// A call that must succeed and answer JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.command(&[args, &["--json"]].concat()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Starts a service; `change` may alter its surroundings.
    pub fn service_with(&mut self, args: &[&str], change: impl FnOnce(&mut Command)) -> Service {
        self.services += 1;
        let log = self.place.path(&format!("{}-{}.log", args[0], self.services));
        let mut command = self.command(args);
        change(&mut command);
        let child =
            command.stderr(File::create(&log).unwrap()).stdout(Stdio::null()).spawn().unwrap();
        Service { child, log }
    }

    pub fn coordinator(&mut self) -> Service {
        let roots = self.place.text("");
        self.service_with(&["coordinator", "--audio-roots", &roots], |_| {})
    }

    pub fn worker(&mut self) -> Service {
        self.worker_with(|_| {})
    }

    pub fn worker_with(&mut self, change: impl FnOnce(&mut Command)) -> Service {
        let roots = self.place.text("");
        self.service_with(&["feature-worker", "--slots", "2", "--audio-roots", &roots], change)
    }

    /// The broker's URL by way of its proxy.
    pub fn proxied_queue(&self) -> String {
        let own = port(self.broker.url()).to_string();
        self.broker.url().replacen(&own, &self.broker_proxy.port().to_string(), 1)
    }

    /// Waits until a data set is sealed, doing something meanwhile, and verifies it.
    pub fn sealed(&self, dataset: &str, mut meanwhile: impl FnMut(&Value)) -> Value {
        let start = Instant::now();
        loop {
            let output =
                self.command(&["status", dataset, "--json", "--queue", ""]).output().unwrap();
            // The store may be away on purpose.
            if output.status.success() {
                let status: Value = serde_json::from_slice(&output.stdout).unwrap();
                let status = &status["datasets"][0];
                if status["sealed"] == true {
                    break;
                }
                assert!(start.elapsed() < PATIENCE, "not done: {status}\n{}", self.logs());
                meanwhile(status);
            } else {
                assert!(start.elapsed() < PATIENCE, "{}\n{}", stderr(&output), self.logs());
                meanwhile(&Value::Null);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let verified = self.command(&["verify", dataset, "--json"]).output().unwrap();
        let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
        assert_eq!(verified["ok"], true, "{verified}\n{}", self.logs());
        verified
    }

    /// The end of every service's log.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(self.place.path("")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "log") {
                let log = std::fs::read_to_string(&path).unwrap();
                let lines: Vec<_> = log.lines().collect();
                let last = &lines[lines.len().saturating_sub(12)..];
                text += &format!("--- {}\n{}\n", path.display(), last.join("\n"));
            }
        }
        text
    }
}

impl Service {
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it lives still.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks it to stop; gives its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port of a URL.
fn port(url: &str) -> u16 {
    let host = url.split('/').nth(2).unwrap();
    host.rsplit(':').next().unwrap().parse().unwrap()
}
