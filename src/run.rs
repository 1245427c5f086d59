//! `voxage run`: the whole job in one process, against a directory. Holds no logic of its
//! own: it opens the ends, starts the rooms and waits.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Command;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use voxage_contract::training::{Request, TrainRequest, Trained};
use voxage_contract::{Name, SealedManifest};
use voxage_coordinator::dispatch::Missing;
use voxage_coordinator::{Submission, plan, plan_all, registry, seal, submit};
use voxage_features::Worker;
use voxage_transport::{InProcess, Store};

use crate::progress::Progress;
use crate::settings::{Keys, Settings};
use crate::{Call, manifest, report, train, trainer};

pub const KEYS: Keys = &[
    "root",
    "s3",
    "cache",
    "dataset",
    "audio_root",
    "model",
    "slots",
    "shard_recordings",
    "shard_mib",
    "spec",
    "train",
    "upkeep",
];

/// Between two looks at how far the workers are.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub fn command() -> Command {
    Command::new("run")
        .about("The whole job: plan, extract, seal, train and evaluate, in this process")
        .after_help(
            "Run it again at any time: what is done stays done, new rows are added, and what was \
             cut off goes on where it was.",
        )
        .arg(manifest::arg())
}

#[derive(Serialize)]
struct Answer {
    dataset: Name,
    manifest: String,
    recordings: Recordings,
    #[serde(flatten)]
    trained: Trained,
    elapsed_s: f64,
}

#[derive(Serialize)]
struct Recordings {
    submitted: u64,
    rows: u64,
    rejects: u64,
    extracted: u64,
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let start = Instant::now();
    let settings = &call.resolved.settings;
    let path = manifest::of(&call.matches)?;
    let model: Name = settings.model.parse()?;
    trainer::find()?;
    settings.need_weights()?;
    let audio_root = manifest::audio_root(&path, settings)?;
    manifest::refuse_structural(&path, &manifest::check(&path, &audio_root, |_, _| {})?)?;
    let dataset = manifest::dataset(&path, settings)?;
    let store = settings.store().await?;
    if call.resolved.is_default("dataset") {
        refuse_foreign(&*store, &dataset, &audio_root).await?;
    }
    let learning = train::with_checkpoint(&*store, &settings.train).await?;
    let features = async {
        tokio::select! {
            submitted = submitted(&*store, settings, &path, audio_root, &dataset) => submitted?,
            () = call.stop.cancelled() => bail!("stopped: run it again to go on"),
        }
        let extracted = extracted(Arc::clone(&store), settings, &dataset, &call.stop).await?;
        let (key, sealed) = seal::seal(&*store, &dataset, &settings.spec).await?;
        Ok::<_, anyhow::Error>((extracted, key, sealed))
    };
    let (extracted, key, sealed) = features.await?;
    let request = Request::Train(Box::new(TrainRequest {
        root: settings.root.clone(),
        access: settings.access(),
        upkeep: settings.upkeep.clone(),
        patient: true,
        fold: None,
        manifest: key.clone(),
        against: registry::champion_key(&*store, &model).await?,
        start: None,
        blend: Vec::new(),
        model,
        settings: learning,
    }));
    let trained = train::trained(&*store, &request, &call.stop).await?;
    let SealedManifest { submitted, rows, rejects, .. } = sealed;
    let answer = Answer {
        dataset,
        manifest: key,
        recordings: Recordings { submitted, rows, rejects, extracted },
        trained,
        elapsed_s: start.elapsed().as_secs_f64(),
    };
    call.output.answer(&answer, || {
        format!(
            "data set {}: {submitted} recordings, {rows} rows, {rejects} rejects\nmodel {}\n{}\npredictions in {}/{}",
            answer.dataset,
            answer.trained.model,
            report::evaluation(&answer.trained.evaluation),
            settings.root,
            answer.trained.predictions,
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Two manifests of one file name but other audio are not the same data set.
async fn refuse_foreign(store: &dyn Store, dataset: &Name, audio_root: &str) -> Result<()> {
    match plan::origin(store, dataset).await? {
        Some(origin) if origin != audio_root => bail!(
            "data set '{dataset}' in this root has its audio in {origin}, this manifest in {audio_root}: \
             name the data set of this manifest with --dataset"
        ),
        _ => Ok(()),
    }
}

async fn submitted(
    store: &dyn Store,
    settings: &Settings,
    manifest: &Path,
    audio_root: String,
    dataset: &Name,
) -> Result<()> {
    let submission = Submission {
        manifest: manifest.to_owned(),
        paths_root: audio_root.clone(),
        audio_root,
        dataset: dataset.clone(),
        spec: settings.spec.clone(),
        shards: settings.shard_limits(),
        stat_sources: true,
        scheduled: false,
    };
    let mut progress = Progress::new("plan", 0);
    let done = submit(store, submission, |_| {}, |rows| progress.set(rows, 0, "rows")).await?;
    let counts = plan_all(store, &settings.any_sources(), dataset).await?;
    progress.finish(&format!(
        "{} recordings: {} new, {} changed",
        done.recordings, counts.added, counts.replaced
    ));
    Ok(())
}

/// Makes every missing shard, and gives the number of recordings that it took.
async fn extracted(
    store: Arc<dyn Store>,
    settings: &Settings,
    dataset: &Name,
    stop: &CancellationToken,
) -> Result<u64> {
    let mut missing = Missing::find(&*store, dataset, &settings.spec).await?;
    let left = missing.recordings();
    let queue = InProcess::new(4 * settings.slots);
    let counts = Arc::new(voxage_features::Progress::default());
    let worker = Worker {
        store: Arc::clone(&store),
        queues: vec![Arc::new(queue.clone())],
        sources: settings.any_sources(),
        slots: settings.slots,
        progress: Arc::clone(&counts),
        isolation: None,
        grace: Duration::ZERO,
    };
    let mut progress = Progress::new("extract", left);
    let done = async {
        missing.publish(&*store, |_| &queue, |_| true).await?;
        while missing.shards() > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
            missing.look(&*store).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let watch = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let message =
                format!("{} rejects, {:.0} s of audio", counts.rejects(), counts.audio_s());
            progress.set(counts.recordings(), left, &message);
            if let Some(dead) = queue.dead_letters().first() {
                return dead.reason.clone();
            }
        }
    };
    tokio::select! {
        done = done => done?,
        reason = watch => bail!("a shard could not be made: {reason}. Mend that and run again: what is done stays done"),
        ended = worker.run(stop.clone()) => {
            ended?;
            bail!("stopped: run it again to go on")
        }
    }
    progress.finish(&format!("{} recordings, {} rejects", counts.recordings(), counts.rejects()));
    Ok(counts.recordings())
}
