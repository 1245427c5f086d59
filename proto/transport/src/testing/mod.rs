//! Real servers for tests, each on the loopback, in a folder of its own, gone when dropped.

mod rabbitmq;
mod s3;

pub use rabbitmq::RabbitMq;
pub use s3::*;

/// The script that starts a server. It is looked for from where cargo runs tests: what is
/// compiled in may be of another checkout that shares the target directory.
fn server(name: &str) -> std::path::PathBuf {
    let here = std::env::current_dir().expect("a current directory");
    let script = |folder: &std::path::Path| folder.join("deploy/servers").join(name);
    here.ancestors().map(script).find(|script| script.exists()).expect("deploy/servers")
}
