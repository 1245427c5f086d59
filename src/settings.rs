//! Settings: defaults, then a TOML file, then a spec file, then `VOXAGE_*`, then flags.
//!
//! Always holds: every setting has one key, from which its flag and its variable follow;
//! an unknown key is an error; where each value came from is known.

mod check;
mod help;
mod places;
mod values;
mod variables;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Arg, ArgMatches};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use voxage_contract::training::{TrainSettings, Upkeep};
use voxage_contract::{Embedding, FeatureSpec, Name, ShardLimits};
use voxage_coordinator::registry::Gate;
use voxage_extract::Weights;

use help::HELP;
pub use places::{Cache, LogFormat, PathStyle, S3};
use values::{parse, redacted};
pub use variables::{Variables, of_process};

/// What a verb can be told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Directory of the store.
    pub root: String,
    /// The data set; empty for the one that follows from the command.
    pub dataset: String,
    /// Folder or `s3://` place that the manifest's paths are relative to; empty for the
    /// manifest's own folder.
    pub audio_root: String,
    /// The model.
    pub model: String,
    /// Recordings extracted at a time.
    pub slots: usize,
    /// Recordings of a shard, at most.
    pub shard_recordings: usize,
    /// Audio of a shard in MiB, at most.
    pub shard_mib: u64,
    /// URL of the RabbitMQ broker; empty for none.
    pub queue: String,
    /// What begins the name of everything at the broker.
    pub queue_name: String,
    /// File of certificates to trust at the broker; empty for the system's alone.
    pub queue_ca: String,
    /// Audio roots that workers and coordinators may read, beside the store's own.
    pub audio_roots: Vec<String>,
    /// Seconds that tasks in hand may take after a stop.
    pub grace_s: u64,
    /// How a service logs: human or json.
    pub log_format: LogFormat,
    /// Where a service tells its health and metrics; empty for nowhere.
    pub metrics_listen: String,
    /// Where a coordinator has its page and API; empty for nowhere.
    pub listen: String,
    /// What whoever changes something by the API must know; empty for a random one.
    pub api_token: String,
    /// The S3 server.
    pub s3: S3,
    /// Shards kept on this machine.
    pub cache: Cache,
    /// The features.
    pub spec: FeatureSpec,
    /// The training.
    pub train: TrainSettings,
    /// How it is carried out.
    pub upkeep: Upkeep,
    /// What a version must do to become the champion.
    pub gate: Gate,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            root: "./work".into(),
            dataset: String::new(),
            audio_root: String::new(),
            model: "age".into(),
            slots: cores,
            shard_recordings: 256,
            shard_mib: 128,
            queue: String::new(),
            queue_name: "voxage".into(),
            queue_ca: String::new(),
            audio_roots: Vec::new(),
            grace_s: 30,
            log_format: LogFormat::default(),
            metrics_listen: String::new(),
            listen: "127.0.0.1:8090".into(),
            api_token: String::new(),
            s3: S3::default(),
            cache: Cache::default(),
            spec: FeatureSpec::default(),
            train: TrainSettings { threads: cores, ..TrainSettings::default() },
            upkeep: Upkeep::default(),
            gate: Gate::default(),
        }
    }
}

/// The setting that is told to nobody.
const SECRET: &str = "api_token";

/// The settings that a verb listens to, by the start of their keys.
pub type Keys = &'static [&'static str];

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effective {
    /// The setting.
    pub key: &'static str,
    /// Its value, without secrets.
    pub value: serde_json::Value,
    /// Where it came from.
    pub source: String,
}

/// Settings with the source of each.
#[derive(Debug)]
pub struct Resolved {
    /// What the program goes by.
    pub settings: Settings,
    sources: BTreeMap<&'static str, String>,
    leaves: BTreeMap<&'static str, Value>,
}

/// The flag of a setting: its key without `spec.`, `train.` or `upkeep.`, in kebab case.
fn flag(key: &str) -> String {
    let bare = ["train.", "spec.", "upkeep."].iter().find_map(|part| key.strip_prefix(part));
    let bare = bare.unwrap_or(key);
    bare.replace(['.', '_'], "-")
}

/// The environment variable of a setting.
fn variable(key: &str) -> String {
    format!("VOXAGE_{}", key.replace('.', "_").to_uppercase())
}

/// The arguments of a verb that listens to `keys`.
pub fn args(keys: Keys) -> impl Iterator<Item = Arg> {
    let heading = "Settings (also in --config FILE, or as variables such as VOXAGE_ROOT)";
    // A secret on a command line is seen by all who list processes.
    let own = HELP.iter().filter(move |(key, _)| listens(keys, key) && *key != SECRET).map(
        move |(key, help)| {
            let default = default_text(key);
            let help = if help.contains("[default") || default.is_empty() {
                (*help).to_owned()
            } else {
                format!("{help} [default: {default}]")
            };
            Arg::new(*key)
                .long(flag(key))
                .value_name("VALUE")
                .help(help)
                .help_heading(heading)
                .allow_negative_numbers(true)
        },
    );
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("FILE").help(help).help_heading(heading)
    };
    let spec = file("spec", "TOML file with the feature spec (the keys below spec.)");
    let train = file("train", "TOML file with how to train (the keys below train.)");
    let (has_spec, has_train) = (listens(keys, "spec.mono"), listens(keys, "train.seed"));
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("TOML file with settings; unknown keys are errors [env: VOXAGE_CONFIG]")
        .help_heading(heading);
    own.chain(has_spec.then_some(spec)).chain(has_train.then_some(train)).chain([config])
}

fn listens(keys: Keys, key: &str) -> bool {
    keys.iter().any(|start| key == *start || key.starts_with(&format!("{start}.")))
}

fn default_text(key: &str) -> String {
    let defaults = leaves(&defaults(), "");
    defaults.iter().find(|(name, _)| name == key).map(|(_, value)| text(value)).unwrap_or_default()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn defaults() -> Table {
    Table::try_from(Settings::default()).unwrap_or_default()
}

/// The leaves of a table by dotted key.
fn leaves(table: &Table, prefix: &str) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(inner) => all.extend(leaves(inner, &format!("{key}."))),
            leaf => all.push((key, leaf.clone())),
        }
    }
    all
}

/// Gathers the settings of a verb.
///
/// # Errors
/// If a file cannot be read, a key or variable is unknown, or a value cannot be.
pub fn resolve(matches: &ArgMatches, env: &Variables) -> Result<Resolved> {
    variables::check(env)?;
    let known: Vec<&'static str> = HELP.iter().map(|(key, _)| *key).collect();
    let default: BTreeMap<String, Value> = leaves(&defaults(), "").into_iter().collect();
    let mut resolved = Resolved {
        settings: Settings::default(),
        sources: known.iter().map(|key| (*key, "default".to_owned())).collect(),
        leaves: known.iter().filter_map(|key| Some((*key, default.get(*key)?.clone()))).collect(),
    };
    let argument = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let config = argument("config").or_else(|| env.get("VOXAGE_CONFIG").cloned());
    for (file, prefix) in [(config, ""), (argument("spec"), "spec."), (argument("train"), "train.")]
    {
        let Some(file) = file else { continue };
        for (key, value) in leaves(&read(Path::new(&file))?, prefix) {
            let key = find(&known, &key).with_context(|| file.clone())?;
            resolved.set(key, value, file.clone());
        }
    }
    for key in known {
        let from_env = env.get(&variable(key)).map(|text| (text.clone(), variable(key)));
        let from_flag = argument(key).map(|text| (text, format!("--{}", flag(key))));
        if let Some((text, source)) = from_flag.or(from_env) {
            let value = parse(&text, &default[key]).map_err(|why| anyhow!("{source}: {why}"))?;
            resolved.set(key, value, source);
        }
    }
    resolved.finish()
}

fn read(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    // Not as the parser tells it, with the line: there may be a password in it.
    text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow!("{}, line {line}: {}", path.display(), error.message())
    })
}

fn find(known: &[&'static str], key: &str) -> Result<&'static str> {
    if let Some(known) = known.iter().find(|known| **known == key) {
        return Ok(known);
    }
    let near = |known: &&&str| (strsim::jaro_winkler(known, key) * 1000.0) as u32;
    let nearest = known.iter().max_by_key(near).copied().unwrap_or_default();
    bail!("unknown key '{key}': did you mean '{nearest}'? `voxage config` lists all")
}

impl Resolved {
    fn set(&mut self, key: &'static str, value: Value, source: String) {
        self.leaves.insert(key, value);
        self.sources.insert(key, source);
    }

    /// Leaves to settings; a value that cannot be is named with its key and source.
    fn finish(mut self) -> Result<Self> {
        let endless = |value: &Value| value.as_float().is_some_and(|value| !value.is_finite());
        if let Some((key, value)) = self.leaves.iter().find(|(_, value)| endless(value)) {
            bail!("setting {key} (from {}): {value} is no number to work with", self.sources[key]);
        }
        let build = |leaves: &mut dyn Iterator<Item = (&str, &Value)>| {
            let mut table = defaults();
            for (key, value) in leaves {
                put(&mut table, key, value.clone());
            }
            table.try_into::<Settings>()
        };
        if let Err(error) = build(&mut self.leaves.iter().map(|(key, value)| (*key, value))) {
            let wrong = |(key, value): &(&&'static str, &Value)| {
                build(&mut std::iter::once((**key, *value))).is_err()
            };
            let (key, _) = self.leaves.iter().find(wrong).context(error.message().to_owned())?;
            let message = match self.leaves[key] {
                Value::Integer(n) if n < 0 => values::out_of_range(n),
                _ => error.message().trim().to_owned(),
            };
            bail!("setting {key} (from {}): {message}", self.sources[key]);
        }
        self.settings = build(&mut self.leaves.iter().map(|(key, value)| (*key, value)))?;
        self.settings.check()?;
        Ok(self)
    }

    /// Whether a setting is as it was by default.
    pub fn is_default(&self, key: &str) -> bool {
        self.sources.get(key).is_none_or(|source| source == "default")
    }

    /// Every setting with where it came from, without secrets.
    pub fn effective(&self) -> Vec<Effective> {
        let each = HELP.iter().filter_map(|(key, _)| {
            let value = serde_json::to_value(self.leaves.get(key)?).ok()?;
            let value = match value {
                serde_json::Value::String(text) if *key == SECRET && !text.is_empty() => {
                    "***".into()
                }
                serde_json::Value::String(text) => redacted(&text).into(),
                other => other,
            };
            Some(Effective { key, value, source: self.sources.get(key)?.clone() })
        });
        each.collect()
    }
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(first) {
                put(inner, rest, value);
            }
        }
    }
}

impl Settings {
    /// Refuses an embedding without its weights before any recording is touched.
    pub fn need_weights(&self) -> Result<()> {
        if self.spec.embedding != Embedding::None {
            Weights::shared()?;
        }
        Ok(())
    }

    /// How recordings are cut into shards.
    pub fn shard_limits(&self) -> ShardLimits {
        ShardLimits { recordings: self.shard_recordings, bytes: self.shard_mib << 20 }
    }

    /// The data set that was named, if any.
    pub fn named_dataset(&self) -> Result<Option<Name>> {
        if self.dataset.is_empty() { Ok(None) } else { Ok(Some(self.dataset.parse()?)) }
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:24} = {:24} # {}", self.key, self.value.to_string(), self.source)
    }
}

#[cfg(test)]
mod tests;
