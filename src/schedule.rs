//! `voxage schedule`: what is taken in, trained and promoted again and again.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgMatches, Command};
use serde_json::json;
use voxage_contract::Name;
use voxage_coordinator::drift::Drift;
use voxage_coordinator::schedule::{
    Calendar, Firing, Instant, Missed, Overlap, Schedule, Standing, Start, State, Zone, firings,
    latest, put, recent, retry, run_now, schedule, schedules, set_state,
};
use voxage_transport::{Store, source};

use crate::ends::now;
use crate::misuse::Misuse;
use crate::settings::{Keys, Settings};
use crate::{Call, ends, train};

pub const KEYS: Keys = &[
    "root",
    "s3",
    "dataset",
    "audio_root",
    "model",
    "shard_recordings",
    "shard_mib",
    "spec",
    "train",
    "gate",
];

const ACTIONS: [&str; 9] =
    ["add", "list", "show", "pause", "resume", "remove", "run-now", "retry", "history"];

pub fn command() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("schedule")
        .about("Take in, train and promote again and again: coordinators and trainers do it")
        .after_help(
            "A firing takes in the manifests below --source that are new (by their content), \
             waits for their features, seals the data set, trains, and makes the model the \
             champion if the gate lets it pass. `history` shows each stage; after a failure, \
             `retry` goes on with the stage that failed.",
        )
        .arg(
            Arg::new("action")
                .value_name("ACTION")
                .required(true)
                .value_parser(ACTIONS)
                .help("add, list, show, pause, resume, remove, run-now, retry or history"),
        )
        .arg(Arg::new("name").value_name("NAME").help("The schedule's name"))
        .arg(option("cron", "TIMES", "When: minute, hour, day, month, weekday, as \"0 2 * * *\""))
        .arg(option("tz", "ZONE", "In which time zone, such as Europe/Rome").default_value("UTC"))
        .arg(option("source", "PLACE", "Folder or s3://bucket/prefix/ of the manifests"))
        .arg(
            option("missed", "WHAT", "What becomes of a firing that nobody was there for")
                .value_parser(["run", "skip"])
                .default_value("run"),
        )
        .arg(
            option("overlap", "WHAT", "What becomes of a firing while another is at work")
                .value_parser(["queue", "skip"])
                .default_value("skip"),
        )
        .arg(
            option(
                "start",
                "WHAT",
                "What a network starts from: scratch (chance), or champion (its weights)",
            )
            .value_parser(["scratch", "champion"])
            .default_value("scratch"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let matches = &call.matches;
    let action = matches.get_one::<String>("action").context("no action")?.as_str();
    let name = matches.get_one::<String>("name").map(|name| name.parse::<Name>()).transpose()?;
    let Some(name) = name else {
        if action != "list" {
            misuse!(
                "say which: `voxage schedule {action} NAME`; `voxage schedule list` lists them"
            );
        }
        let store = settings.existing_store().await?;
        let mut all = Vec::new();
        for standing in schedules(&*store).await? {
            let last = recent(&*store, &standing.name).await?.pop();
            all.push((standing, last));
        }
        let json: Vec<_> = all
            .iter()
            .map(|(schedule, last)| json!({ "schedule": schedule, "last": last }))
            .collect();
        call.output.answer(&json!({ "schedules": json }), || listed(&all))?;
        return Ok(ExitCode::SUCCESS);
    };
    if action == "add" {
        let mut added = added(settings, matches)?;
        let store = settings.store().await?;
        if schedule(&*store, &name).await.is_ok() {
            bail!("there is a schedule '{name}': remove it first, or take another name");
        }
        added.settings = train::with_checkpoint(&*store, &added.settings).await?;
        put(&*store, &name, &added).await?;
        let standing = schedule(&*store, &name).await?;
        return shown(&call, &*store, &standing, "added").await;
    }
    let store = settings.existing_store().await?;
    if action == "history" {
        let standing = latest(&*store, &name).await?;
        let firings = firings(&*store, &name).await?;
        let zone = standing.schedule.calendar()?.zone;
        call.output.answer(&json!({ "firings": firings }), || {
            firings.iter().map(|firing| told(firing, zone)).collect()
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let standing = schedule(&*store, &name).await?;
    let state = match action {
        "show" | "list" => return shown(&call, &*store, &standing, "").await,
        "run-now" => {
            if standing.schedule.state != State::Active {
                bail!("schedule '{name}' is paused: `voxage schedule resume {name}` first");
            }
            let fired = run_now(&*store, &standing, &ends::process("schedule"), now()).await?;
            call.output.answer(&json!({ "firing": fired }), || {
                format!("fired: `voxage schedule history {name}` shows how it goes\n")
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        "retry" => {
            let firing = retry(&*store, &name, now()).await?;
            call.output.answer(&json!({ "firing": firing }), || {
                format!("the firing of {} goes on with '{}'\n", firing.due, firing.stage())
            })?;
            return Ok(ExitCode::SUCCESS);
        }
        "pause" => State::Paused,
        "resume" => State::Active,
        "remove" => State::Removed,
        other => misuse!("`voxage schedule {other}` takes no name"),
    };
    set_state(&*store, &standing, state, now()).await?;
    if state == State::Removed {
        call.output.answer(&json!({ "removed": name }), || format!("{name} is removed\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let standing = schedule(&*store, &name).await?;
    shown(&call, &*store, &standing, "").await
}

fn added(settings: &Settings, matches: &ArgMatches) -> Result<Schedule> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let need =
        |name: &str| text(name).ok_or_else(|| Misuse(format!("`schedule add` needs --{name}")));
    let Some(dataset) = settings.named_dataset()? else {
        misuse!("`schedule add` needs --dataset")
    };
    let audio_root = Some(&settings.audio_root).filter(|root| !root.is_empty());
    let (source, cron, zone) = (need("source")?, need("cron")?, need("tz")?);
    if let Err(why) = Calendar::new(&cron, &zone) {
        misuse!("{why}")
    }
    let Ok(place) = source::root(&source) else {
        misuse!("--source '{source}': there is no such folder")
    };
    if place.starts_with("file://") || !place.starts_with(settings.root.as_str()) {
        say!(
            "note: coordinators must be started with --audio-roots {}",
            place.trim_start_matches("file://")
        );
    }
    Ok(Schedule {
        cron,
        zone,
        source: place,
        audio_root: audio_root.map(|root| source::root(root)).transpose()?,
        dataset,
        spec: settings.spec.clone(),
        shards: settings.shard_limits(),
        model: settings.model.parse()?,
        settings: settings.train.clone(),
        start: if need("start")? == "champion" { Start::Champion } else { Start::Scratch },
        gate: settings.gate,
        missed: if need("missed")? == "run" { Missed::Run } else { Missed::Skip },
        overlap: if need("overlap")? == "queue" { Overlap::Queue } else { Overlap::Skip },
        state: State::Active,
        since: now(),
    })
}

fn state(schedule: &Schedule) -> &'static str {
    match schedule.state {
        State::Active => "active",
        State::Paused => "paused",
        State::Removed => "removed",
    }
}

fn next(schedule: &Schedule) -> Option<String> {
    let calendar = schedule.calendar().ok()?;
    let next = calendar.next(now().max(schedule.since))?;
    (schedule.state == State::Active).then(|| next.local(calendar.zone))
}

fn listed(all: &[(Standing, Option<Firing>)]) -> String {
    if all.is_empty() {
        return "there are no schedules yet: `voxage schedule add` makes one\n".into();
    }
    let mut text = format!(
        "{:16} {:8} {:16} {:16} {:26} {}\n",
        "schedule", "state", "data set", "model", "next", "last"
    );
    for (Standing { name, schedule, .. }, last) in all {
        let (name, dataset, model) =
            (name.as_str(), schedule.dataset.as_str(), schedule.model.as_str());
        let next = next(schedule).unwrap_or_else(|| "–".into());
        let last = match last {
            None => "–".to_owned(),
            Some(Firing { end: Some(end), .. }) => format!("{:?}", end.outcome).to_lowercase(),
            Some(firing) if firing.failed() => "failed: `voxage schedule history`".into(),
            Some(firing) => format!("at work: {}", firing.stage()),
        };
        text +=
            &format!("{name:16} {:8} {dataset:16} {model:16} {next:26} {last}\n", state(schedule));
    }
    text
}

/// Shows a schedule, with its next and its last firing.
async fn shown(
    call: &Call,
    store: &dyn Store,
    standing: &Standing,
    done: &str,
) -> Result<ExitCode> {
    let Standing { name, schedule, .. } = standing;
    let last = recent(store, name).await?.pop();
    let next = next(schedule);
    let zone = schedule.calendar()?.zone;
    let answer = json!({ "schedule": standing, "next": next, "last": last });
    call.output.answer(&answer, || {
        let done = if done.is_empty() { state(schedule) } else { done };
        let mut text = format!(
            "{name} ({done}): at \"{}\" {}, from {} into {}, model {}\n",
            schedule.cron, schedule.zone, schedule.source, schedule.dataset, schedule.model
        );
        text += &format!("next: {}\n", next.as_deref().unwrap_or("never"));
        text + &last.map_or(String::new(), |last| told(&last, zone))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A firing for people, a line a stage.
fn told(firing: &Firing, zone: Zone) -> String {
    let asked = if firing.claim.asked { ", asked for" } else { "" };
    let missed = match firing.claim.missed {
        0 => String::new(),
        missed => format!(", {missed} before it missed"),
    };
    let mut text = format!("{}{asked}{missed}\n", firing.due.local(zone));
    let mut lines = Vec::new();
    let mut line = |at: Instant, what: &str, words: String| {
        let line = format!("  {}  {what:9} {words}", at.local(zone));
        lines.push((at, format!("{}\n", line.trim_end())));
    };
    if let Some(entry) = &firing.taken_in {
        let recordings: u64 = entry.done.manifests.iter().map(|taken| taken.recordings).sum();
        let words = format!(
            "{} new manifests with {recordings} recordings, {} known",
            entry.done.manifests.len(),
            entry.done.known
        );
        line(entry.at, "taken in", words);
        for bad in &entry.done.bad {
            line(entry.at, "left out", bad.clone());
        }
    }
    if let Some(entry) = &firing.sealed {
        let sealed = &entry.done;
        let words =
            format!("{}: {} rows, {} rejects", sealed.manifest, sealed.rows, sealed.rejects);
        line(entry.at, "sealed", words);
        for warning in sealed.drift.iter().flat_map(Drift::warnings) {
            line(entry.at, "drift", warning);
        }
    }
    if let Some(entry) = &firing.trained {
        let rmse = entry.done.rmse.map_or("–".to_owned(), |rmse| format!("{rmse:.2}"));
        line(entry.at, "trained", format!("{}: RMSE {rmse}", entry.done.model));
    }
    if let Some(entry) = &firing.decided {
        for check in &entry.done.checks {
            let sign = if check.passed { "yes" } else { "no" };
            line(entry.at, "gate", format!("{sign}: {}", check.words));
        }
    }
    for failure in &firing.failures {
        line(failure.at, "failed", format!("{}: {}", failure.stage, failure.why));
    }
    if let Some(end) = &firing.end {
        let outcome = format!("{:?}", end.outcome).to_lowercase();
        let words = if firing.decided.is_some() { String::new() } else { end.words.clone() };
        line(end.at, &outcome, words);
    }
    // A stage may come after a failure of its own.
    lines.sort_by_key(|(at, _)| *at);
    text.extend(lines.into_iter().map(|(_, line)| line));
    match firing.end {
        Some(_) => {}
        None if firing.failed() => {
            text += "  it failed: mend that, then `voxage schedule retry`\n";
        }
        None => {
            text += &format!(
                "  at work: next is '{}' (coordinators and trainers do it: `voxage status` shows \
                 them)\n",
                firing.stage()
            );
        }
    }
    text
}
