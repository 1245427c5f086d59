//! What the verbs that take a manifest have in common.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgMatches, value_parser};
use voxage_contract::Name;
use voxage_coordinator::{Checked, Error, Problem, Severity};
use voxage_transport::source;

use crate::settings::Settings;

/// Problems that are shown one by one.
const SHOWN: usize = 20;

/// The argument that names a manifest.
pub fn arg() -> Arg {
    Arg::new("manifest")
        .value_name("MANIFEST")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("CSV or Parquet table: id, path, and if known age, gender, speaker, split, tabular columns")
}

/// The manifest of a command line.
pub fn of(matches: &ArgMatches) -> Result<PathBuf> {
    matches.get_one::<PathBuf>("manifest").cloned().context("no manifest")
}

/// The URI that the paths of a manifest are relative to.
pub fn audio_root(manifest: &Path, settings: &Settings) -> Result<String> {
    if !settings.audio_root.is_empty() {
        return Ok(source::root(&settings.audio_root)?);
    }
    let absolute = manifest
        .canonicalize()
        .with_context(|| format!("manifest {} cannot be read", manifest.display()))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    source::root_uri(folder).with_context(|| format!("audio root {}", folder.display()))
}

/// The data set of a manifest: as named, or after the manifest's file.
pub fn dataset(manifest: &Path, settings: &Settings) -> Result<Name> {
    let stem = manifest.file_stem().unwrap_or_default().to_string_lossy();
    Ok(settings.named_dataset()?.unwrap_or_else(|| Name::nearest(&stem)))
}

/// Checks a manifest; one that is no table of recordings is a problem like any other.
pub fn check(
    manifest: &Path,
    audio_root: &str,
    each: impl FnMut(u64, &voxage_contract::Recording),
) -> Result<Checked> {
    match voxage_coordinator::check(manifest, audio_root, each) {
        Err(Error::Structure { problem, .. }) => {
            Ok(Checked { problems: vec![problem], ..Checked::default() })
        }
        Err(Error::Manifest { source, .. }) => {
            let problem = Problem {
                row: None,
                column: None,
                code: "unreadable_table".into(),
                message: source.to_string(),
                severity: Severity::Structure,
            };
            Ok(Checked { problems: vec![problem], ..Checked::default() })
        }
        other => Ok(other?),
    }
}

/// Refuses a manifest that has structural problems.
pub fn refuse_structural(manifest: &Path, checked: &Checked) -> Result<()> {
    let structural: Vec<_> = checked.structural().collect();
    if structural.is_empty() {
        return Ok(());
    }
    say!("{}", listed(manifest, &structural).trim_end());
    bail!(
        "{} is not taken before {} of its problems are mended; nothing was done",
        manifest.display(),
        structural.len()
    )
}

/// Problems for people: the first ones, then how many more.
pub fn listed(manifest: &Path, problems: &[&Problem]) -> String {
    let mut text = String::new();
    for problem in problems.iter().take(SHOWN) {
        text += &format!("{}: {problem}\n", manifest.display());
    }
    if problems.len() > SHOWN {
        text += &format!("… and {} more (all of them with --json)\n", problems.len() - SHOWN);
    }
    text
}
