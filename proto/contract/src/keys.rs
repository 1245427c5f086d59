//! Every object key is made and parsed here.
//!
//! Always holds: keys are relative, '/'-separated and of safe characters; numbers are
//! zero-padded, so that the order of names is the order of numbers.

mod layout;
mod name;
mod shard_id;

use crate::digest::Digest;
use crate::spec::SpecId;

pub use layout::is_known;
pub use name::{BadName, Name};
pub use shard_id::ShardId;

/// What tells whether a store takes conditional puts.
pub const PROBE: &str = "probe/conditional-put";

/// A published checkpoint that trainings start from, by the digest of its bytes and the name of
/// its file.
#[must_use]
pub fn pretrained(digest: &str, name: &Name) -> String {
    format!("pretrained/{digest}/{name}.safetensors")
}

/// Where all data sets are.
pub const DATASETS: &str = "datasets/";

/// Where the plans of a data set are.
#[must_use]
pub fn plans(dataset: &Name) -> String {
    format!("{DATASETS}{dataset}/plans/")
}

/// A numbered plan.
#[must_use]
pub fn plan(dataset: &Name, number: u64) -> String {
    format!("{}{number:08}.pb.zst", plans(dataset))
}

/// Where the batches of all data sets are.
pub const BATCHES: &str = "batches/";

/// Where the batches of a data set are.
#[must_use]
pub fn batches(dataset: &Name) -> String {
    format!("{BATCHES}{dataset}/")
}

/// What was submitted: with this object, a batch is there.
#[must_use]
pub fn batch(dataset: &Name, number: u64) -> String {
    format!("{}{number:08}/batch.json", batches(dataset))
}

/// Says that a batch is planned, seen that `withdrawn` of the batches before it are cancelled.
#[must_use]
pub fn planned(dataset: &Name, number: u64, withdrawn: u64) -> String {
    format!("{}{number:08}/planned/{withdrawn:08}.json", batches(dataset))
}

/// Says that a batch is cancelled.
#[must_use]
pub fn cancelled(dataset: &Name, number: u64) -> String {
    format!("{}{number:08}/cancelled.json", batches(dataset))
}

/// The data set that a key below [`BATCHES`] belongs to.
#[must_use]
pub fn batched_dataset(key: &str) -> Option<Name> {
    key.strip_prefix(BATCHES)?.split('/').next()?.parse().ok()
}

/// Where the parts of batches are.
#[must_use]
pub fn parts(dataset: &Name) -> String {
    format!("{DATASETS}{dataset}/parts/")
}

/// A part of a batch, named by the digest of what is in it.
#[must_use]
pub fn part(dataset: &Name, digest: &str) -> String {
    format!("{}{digest}.pb.zst", parts(dataset))
}

/// Where audio is that was uploaded with a submission.
#[must_use]
pub fn audio(dataset: &Name) -> String {
    format!("{DATASETS}{dataset}/audio/")
}

/// Where the shards of a data set are, for all specs.
#[must_use]
pub fn all_shards(dataset: &Name) -> String {
    format!("{DATASETS}{dataset}/shards/")
}

/// Where the shards of a data set under one spec are.
#[must_use]
pub fn shards(dataset: &Name, spec: &SpecId) -> String {
    format!("{}{spec}/", all_shards(dataset))
}

/// A shard.
#[must_use]
pub fn shard(dataset: &Name, spec: &SpecId, shard: &ShardId) -> String {
    format!("{}{shard}.parquet", shards(dataset, spec))
}

/// Where the sealed manifests of a data set are.
#[must_use]
pub fn manifests(dataset: &Name) -> String {
    format!("{DATASETS}{dataset}/manifests/")
}

/// A numbered sealed manifest.
#[must_use]
pub fn manifest(dataset: &Name, number: u64) -> String {
    format!("{}{number:08}.json", manifests(dataset))
}

/// Where the training runs are.
pub const RUNS: &str = "runs/";

/// An object of one training run.
#[must_use]
pub fn run(run: &str, object: &str) -> String {
    format!("{RUNS}{run}/{object}")
}

/// The run that a key belongs to.
#[must_use]
pub fn run_of(key: &str) -> Option<&str> {
    key.strip_prefix(RUNS)?.split('/').next()
}

/// Where trainings are that were asked for.
pub const TRAININGS: &str = "trainings/";

/// Where the requests of a run are.
#[must_use]
pub fn training(run: &str) -> String {
    format!("{TRAININGS}{run}/")
}

/// What a run was asked for, the `ask`th time.
#[must_use]
pub fn asked(run: &str, ask: u64) -> String {
    format!("{}{ask:08}/asked.json", training(run))
}

/// The run and the number of a request that was asked for.
#[must_use]
pub fn ask_of(key: &str) -> Option<(&str, u64)> {
    let (run, place) = key.strip_prefix(TRAININGS)?.split_once('/')?;
    Some((run, place.strip_suffix("/asked.json")?.parse().ok()?))
}

/// Why that failed.
#[must_use]
pub fn failed(run: &str, ask: u64) -> String {
    format!("{}{ask:08}/failed.json", training(run))
}

/// Where the checkpoints of a run are.
#[must_use]
pub fn checkpoints(run: &str) -> String {
    self::run(run, "checkpoints/")
}

/// A run after some steps.
#[must_use]
pub fn checkpoint(run: &str, step: u64) -> String {
    format!("{}{step:012}.safetensors", checkpoints(run))
}

/// Where the metrics of a run are.
#[must_use]
pub fn metrics(run: &str) -> String {
    self::run(run, "metrics/")
}

/// Lines of a run's metrics, up to a step, or to the end of the epoch that it ends.
#[must_use]
pub fn metrics_until(run: &str, step: u64, epoch_end: bool) -> String {
    format!("{}{step:012}{}.jsonl", metrics(run), until(epoch_end))
}

/// The same as an event file of TensorBoard.
#[must_use]
pub fn events_until(run: &str, step: u64, epoch_end: bool) -> String {
    self::run(run, &format!("tensorboard/events.out.tfevents.{step:012}{}", until(epoch_end)))
}

/// The line of an epoch has the step of the last line in it, and may come alone.
fn until(epoch_end: bool) -> &'static str {
    if epoch_end { "-epoch" } else { "" }
}

/// Where the lease of a run is.
#[must_use]
pub fn run_lease(run: &str) -> String {
    self::run(run, "lease/")
}

/// One beat of a lease's term; the first one, 0, names its holder.
#[must_use]
pub fn lease_beat(folder: &str, term: u64, beat: u64) -> String {
    format!("{folder}{term:08}/{beat:08}")
}

/// Says that a lease's term has ended, and what its holder said of that, if anything.
#[must_use]
pub fn lease_end(folder: &str, term: u64) -> String {
    format!("{folder}{term:08}/end")
}

/// The term and the beat of a key below a lease's folder; no beat if it is the term's end.
#[must_use]
pub fn lease_place(key: &str, folder: &str) -> Option<(u64, Option<u64>)> {
    let (term, beat) = key.strip_prefix(folder)?.split_once('/')?;
    let beat = if beat == "end" { None } else { Some(beat.parse().ok()?) };
    Some((term.parse().ok()?, beat))
}

/// Where the versions of a model are.
#[must_use]
pub fn versions(model: &Name) -> String {
    format!("models/{model}/versions/")
}

/// The folder of a model version.
#[must_use]
pub fn version(model: &Name, number: u64) -> String {
    format!("{}{number:08}/", versions(model))
}

/// Where all models are.
pub const MODELS: &str = "models/";

/// The model and the number of the version that a key belongs to.
#[must_use]
pub fn version_of(key: &str) -> Option<(Name, u64)> {
    let (model, rest) = key.strip_prefix(MODELS)?.split_once("/versions/")?;
    Some((model.parse().ok()?, rest.split('/').next()?.parse().ok()?))
}

/// Where the promotions of a model are.
#[must_use]
pub fn champions(model: &Name) -> String {
    format!("{MODELS}{model}/champion/")
}

/// A numbered promotion: the highest is in force.
#[must_use]
pub fn champion(model: &Name, number: u64) -> String {
    format!("{}{number:08}.json", champions(model))
}

/// What a run's model said of the test split of a sealed manifest.
#[must_use]
pub fn predictions(run: &str, manifest: &str) -> String {
    let name = manifest.trim_end_matches(".json").replace('/', "-");
    self::run(run, &format!("predictions/{name}.csv"))
}

/// What a ridge said of the test split of a run's own manifest.
#[must_use]
pub fn ridge(run: &str) -> String {
    self::run(run, "predictions/ridge.csv")
}

/// Where all schedules are.
pub const SCHEDULES: &str = "schedules/";

/// The settings of a schedule: the highest number is in force.
#[must_use]
pub fn schedule(name: &Name, number: u64) -> String {
    format!("{SCHEDULES}{name}/settings/{number:08}.json")
}

/// The schedule and the number of a key of its settings.
#[must_use]
pub fn schedule_of(key: &str) -> Option<(Name, u64)> {
    let (name, file) = key.strip_prefix(SCHEDULES)?.split_once("/settings/")?;
    Some((name.parse().ok()?, file.strip_suffix(".json")?.parse().ok()?))
}

/// Says that schedules have taken a manifest into a data set, named by its SHA-256.
#[must_use]
pub fn taken(dataset: &Name, sha256: &str) -> String {
    format!("{DATASETS}{dataset}/taken/{sha256}.json")
}

/// Where the firings of a schedule are.
#[must_use]
pub fn fires(name: &Name) -> String {
    format!("{SCHEDULES}{name}/fires/")
}

/// An object of a firing, which is named by when it is due.
#[must_use]
pub fn fire(name: &Name, due: &str, object: &str) -> String {
    format!("{}{due}/{object}.json", fires(name))
}

/// The firing and the object of a key.
#[must_use]
pub fn fire_of<'a>(key: &'a str, name: &Name) -> Option<(&'a str, &'a str)> {
    let (due, file) = key.strip_prefix(&fires(name))?.split_once('/')?;
    Some((due, file.strip_suffix(".json")?))
}

/// Names the predictions of a sealed manifest's recordings by a model version.
#[must_use]
pub fn prediction_job(model: &str, manifest: &str) -> String {
    Digest::new("predictions").part(model.as_bytes()).part(manifest.as_bytes()).hex()[..16]
        .to_owned()
}

/// Where the parts of a prediction job are.
#[must_use]
pub fn job_parts(job: &str) -> String {
    format!("predictions/{job}/")
}

/// The predictions of one shard.
#[must_use]
pub fn job_part(job: &str, shard: &ShardId) -> String {
    format!("{}{shard}.parquet", job_parts(job))
}

/// Where the studies are.
pub const STUDIES: &str = "studies/";

/// An object of a study.
#[must_use]
pub fn study(study: &str, object: &str) -> String {
    format!("{STUDIES}{study}/{object}")
}

/// An object of a search over settings.
#[must_use]
pub fn search(search: &str, object: &str) -> String {
    format!("searches/{search}/{object}")
}

/// The study that a key belongs to.
#[must_use]
pub fn study_of(key: &str) -> Option<&str> {
    key.strip_prefix(STUDIES)?.split('/').next()
}

/// The data set that a key belongs to.
#[must_use]
pub fn dataset_of(key: &str) -> Option<Name> {
    key.strip_prefix(DATASETS)?.split('/').next()?.parse().ok()
}

/// The number in the first segment behind `prefix`: of a plan, manifest or version.
#[must_use]
pub fn number_of(key: &str, prefix: &str) -> Option<u64> {
    key.strip_prefix(prefix)?.split(['/', '.']).next()?.parse().ok()
}

/// The spec and the shard of a shard's key.
#[must_use]
pub fn shard_of(key: &str, dataset: &Name) -> Option<(SpecId, ShardId)> {
    let (spec, file) = key.strip_prefix(&all_shards(dataset))?.split_once('/')?;
    let shard = file.strip_suffix(".parquet")?;
    Some((SpecId(spec.into()), ShardId(shard.into())))
}

/// Names a run by what it depends on: the same request is the same run.
#[must_use]
pub fn run_id(canonical_request: &str) -> String {
    Digest::new("run").part(canonical_request.as_bytes()).hex()[..16].to_owned()
}

#[cfg(test)]
mod tests;
