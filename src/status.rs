//! `voxage status`: what is done, failed and left, and who is at work.

use std::collections::{BTreeMap, HashSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Arg, ArgAction, Command};
use serde_json::json;
use voxage_contract::{BatchId, Name};
use voxage_coordinator::company::BEAT_EVERY;
use voxage_coordinator::scene::{Busy, Looked, Scene};
use voxage_coordinator::status::{State, Status, Watch, status};
use voxage_transport::{Amqp, Store};

use crate::Call;
use crate::progress::Progress;
use crate::settings::{Keys, Settings};

pub const KEYS: Keys = &["root", "queue", "queue_name", "queue_ca", "s3"];

/// Between two looks of `--watch`.
const LOOK_EVERY: Duration = Duration::from_secs(2);

pub fn command() -> Command {
    let watch = Arg::new("watch").long("watch").action(ArgAction::SetTrue);
    Command::new("status")
        .about("Show what is done, failed and left of the data sets of a root")
        .after_help("With --queue also what waits in the queue, and the workers that are alive.")
        .arg(Arg::new("data set").value_name("DATASET").help("Only this one"))
        .arg(watch.help("Go on until nothing is left"))
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let store = settings.existing_store().await?;
    let name = call.matches.get_one::<String>("data set").map(|name| name.parse::<Name>());
    let name = name.transpose()?;
    if call.matches.get_flag("watch") {
        let Some(name) = name else { misuse!("say which data set to watch") };
        let withdrawn =
            |status: &Status| status.batches.iter().all(|b| b.state == State::Cancelled);
        let ended = |status: &Status| status.sealed || withdrawn(status);
        let status = watch(&*store, settings, &name, ended).await?;
        call.output.answer(&json!({ "datasets": [status] }), || table(&status))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (datasets, damaged) = match &name {
        None => status(&*store).await?,
        Some(name) => (vec![of(&mut Watch::default(), &*store, name).await?], BTreeMap::new()),
    };
    let house = match House::of(settings).await {
        None => None,
        Some(house) => {
            // Long enough to hear everyone once.
            tokio::time::sleep(BEAT_EVERY + BEAT_EVERY / 2).await;
            house.scene.look().await.ok()
        }
    };
    let answer = json!({ "datasets": datasets, "damaged": damaged, "queue": house });
    call.output.answer(&answer, || {
        if datasets.is_empty() && damaged.is_empty() {
            return format!(
                "{} has no data set yet: start with `voxage run MANIFEST`",
                settings.root
            );
        }
        let broken = damaged.iter().map(|(name, why)| format!("{name}: damaged: {why}\n"));
        datasets.iter().map(table).chain(broken).collect::<String>()
            + &house.as_ref().map(told).unwrap_or_default()
    })?;
    Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn of(watch: &mut Watch, store: &dyn Store, name: &Name) -> Result<Status> {
    match watch.look(store, name).await? {
        Some(status) => Ok(status),
        None => bail!(
            "nothing was submitted to a data set '{name}': `voxage status` lists those there are"
        ),
    }
}

/// A data set and its batches, for people.
pub fn table(status: &Status) -> String {
    let Status { name, submitted, rows, rejects, left, sealed, manifest, batches, .. } = status;
    let sealed = match (sealed, manifest) {
        (true, _) => "sealed",
        (false, Some(_)) => "an older version is sealed",
        (false, None) => "not sealed",
    };
    let mut text = format!(
        "{name}: {submitted} recordings, {rows} rows, {rejects} rejects, {left} left, {sealed}\n"
    );
    for batch in batches {
        let state = match batch.state {
            State::Submitted => "waits for a coordinator".to_owned(),
            State::Running if batch.left == 0 => "waits for those before it".into(),
            State::Running => format!("{} left", batch.left),
            State::Done => format!("done, {} of them new or changed", batch.counting),
            State::Cancelled => "cancelled".into(),
        };
        text +=
            &format!("  batch {name}@{}: {} recordings, {state}\n", batch.number, batch.recordings);
    }
    text
}

/// The queue, and those who work at it.
struct House {
    amqp: Amqp,
    scene: Scene,
}

impl House {
    /// The house, if there is a queue; one that cannot be reached is only told, because the
    /// store alone knows what is done.
    async fn of(settings: &Settings) -> Option<Self> {
        if settings.queue.is_empty() {
            return None;
        }
        let opened = Self::open(settings).await;
        opened.inspect_err(|error| say!("note: nothing is known of workers: {error:#}")).ok()
    }

    async fn open(settings: &Settings) -> Result<Self> {
        let amqp = settings.amqp().await?;
        let scene = Scene::open(&amqp).await?;
        Ok(Self { amqp, scene })
    }
}

/// What is at the broker, for people.
fn told(looked: &Looked) -> String {
    let mut text = format!(
        "queue: {} tasks wait, {} were put aside; {} coordinators, {} workers\n",
        looked.ready,
        looked.dead,
        looked.coordinators.len(),
        looked.workers.len()
    );
    if looked.dead > 0 {
        text += "  `voxage dead list` says why they were put aside\n";
    }
    for Busy { process, run } in looked.trainers.iter().chain(&looked.predictors) {
        let run = run.as_deref().map_or("idle".to_owned(), |run| format!("at {run}"));
        text += &format!("  {process}: {run}\n");
    }
    for (dataset, why) in &looked.troubles {
        text += &format!("  {dataset} does not go on: {why}\n");
    }
    for worker in &looked.workers {
        text += &format!(
            "  {}: {} tasks in hand, {} recordings done, {} rejects, {:.2} h of audio\n",
            worker.process,
            worker.tasks,
            worker.recordings,
            worker.rejects,
            worker.audio_s / 3600.0
        );
    }
    text
}

/// Follows a batch to its end; gives its data set as it is then.
pub async fn follow(store: &dyn Store, settings: &Settings, batch: &BatchId) -> Result<Status> {
    let ended = |status: &Status| {
        let batch = status.batches.iter().find(|one| one.number == batch.number);
        // Others' batches may be in the way of the newest version, but not of this one.
        batch.is_some_and(|batch| batch.sealed || batch.state == State::Cancelled)
    };
    watch(store, settings, &batch.dataset, ended).await
}

/// Shows how a data set goes on until it has ended; gives it as it is then.
async fn watch(
    store: &dyn Store,
    settings: &Settings,
    name: &Name,
    ended: impl Fn(&Status) -> bool,
) -> Result<Status> {
    let (house, mut watch) = (House::of(settings).await, Watch::default());
    let mut status = of(&mut watch, store, name).await?;
    let mut progress = Progress::resumed("features", status.submitted - status.left);
    // Everyone is heard by the second look.
    tokio::time::sleep(LOOK_EVERY).await;
    let mut audio: Option<(Instant, f64)> = None;
    loop {
        let held = house.as_ref().map(|house| house.scene.company.now()).unwrap_or_default();
        let shards: HashSet<String> = held.iter().flat_map(|beat| beat.shards.clone()).collect();
        let running = watch.recordings_of(&shards);
        let mut message = format!("{} rejected, {running} running", status.rejects);
        let looked = match &house {
            None => None,
            Some(house) => house.scene.look().await.ok(),
        };
        if let Some(looked) = looked {
            let audio_s: f64 = looked.workers.iter().map(|worker| worker.audio_s).sum();
            let (since, before) = *audio.get_or_insert((Instant::now(), audio_s));
            let rate =
                (audio_s - before).max(0.0) / 3600.0 / since.elapsed().as_secs_f64().max(1.0);
            let workers = looked.workers.len();
            message +=
                &format!(", {} put aside, {workers} workers, {rate:.2} h of audio/s", looked.dead);
            if workers == 0 {
                message += " (start `voxage feature-worker`)";
            }
            if looked.coordinators.is_empty() {
                message += ", no coordinator (start `voxage coordinator`)";
            }
            if looked.dead > 0 && looked.ready == 0 && running == 0 {
                message += " (`voxage dead list` says why)";
            }
            if let Some(why) = looked.troubles.get(name.as_str()) {
                message += &format!(", does not go on: {why}");
            }
        }
        if status.batches.iter().any(|batch| batch.state == State::Submitted) {
            message += ", a batch waits for a coordinator";
        }
        progress.set(status.submitted - status.left, status.submitted, &message);
        if ended(&status) {
            progress.finish(&format!("{} rows, {} rejects", status.rows, status.rejects));
            if let Some(house) = house {
                house.amqp.close().await;
            }
            return Ok(status);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        status = of(&mut watch, store, name).await?;
    }
}
