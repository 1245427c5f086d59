//! Says in `VOXAGE_COMMIT` which commit a release was built from: given from outside where
//! there is no repository, as in a container.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=VOXAGE_COMMIT");
    println!("cargo:rerun-if-changed=build.rs");
    // While it is developed, each commit would build the command anew.
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if release {
        println!("cargo:rerun-if-changed=.git/logs/HEAD");
    }
    let git = || {
        let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
        let commit = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Some(commit.trim().to_owned())
    };
    let given = std::env::var("VOXAGE_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| release.then(git).flatten());
    println!("cargo:rustc-env=VOXAGE_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}
