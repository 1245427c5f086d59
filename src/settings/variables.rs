//! The environment variables that begin with `VOXAGE_`.
//!
//! Always holds: one that was meant for a setting is not passed over.
//! It does not know what settings mean.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::{HELP, flag, variable};

/// Variables by their names.
pub type Variables = BTreeMap<String, String>;

/// What is no setting: of the command, of the folders and tools around it, and of its tests.
const OTHERS: [&str; 9] = [
    "VOXAGE_BROWSER",
    "VOXAGE_CACHE",
    "VOXAGE_CONFIG",
    "VOXAGE_DATA",
    "VOXAGE_LOG",
    "VOXAGE_OLD",
    "VOXAGE_PIN",
    "VOXAGE_PYTHON",
    "VOXAGE_WEIGHTS",
];

/// From this likeness of two names on, one is taken for the other, misspelt.
const ALIKE: f64 = 0.9;

/// Those of this process that are text.
pub fn of_process() -> Variables {
    let text = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(name, _)| name.starts_with("VOXAGE_")).collect()
}

/// Refuses a variable that looks like a setting's and is none.
pub(super) fn check(env: &Variables) -> Result<()> {
    for name in env.keys().filter(|name| !OTHERS.contains(&name.as_str())) {
        if let Some(meant) = meant(name) {
            bail!("{name} is no setting: did you mean {meant}? `voxage config` lists all");
        }
    }
    Ok(())
}

/// The variable that was meant by one that there is not.
fn meant(name: &str) -> Option<String> {
    // A setting's name without the table that it is in, as its flag has it.
    let short = |key: &str| format!("VOXAGE_{}", flag(key).replace('-', "_").to_uppercase());
    let keys = || HELP.iter().map(|(key, _)| *key);
    if keys().any(|key| variable(key) == name) {
        return None;
    }
    if let Some(key) = keys().find(|key| short(key) == name) {
        return Some(variable(key));
    }
    if name.starts_with("VOXAGE_TEST_") {
        return None;
    }
    // The start that all have in common would make all alike.
    let bare = |name: &str| name.trim_start_matches("VOXAGE_").to_owned();
    let likeness = |key: &str| {
        let names = [variable(key), short(key)];
        names.map(|known| strsim::jaro(&bare(&known), &bare(name))).into_iter().fold(0.0, f64::max)
    };
    let nearest = keys().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(nearest) >= ALIKE).then(|| variable(nearest))
}
