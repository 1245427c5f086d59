//! Gathers a report from the store.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tokio::task::spawn_blocking;
use voxage_contract::scores::AGE_BANDS;
use voxage_contract::training::{BlendPart, Metric, TrainSettings, Trained};
use voxage_contract::{Name, SealedManifest, keys};
use voxage_transport::Store;

use super::{Data, Point, Report, mel, spoken};
use crate::drift::{Drift, drift};
use crate::study::{Case, Findings, Guess, Listed, Material, cases, findings, guesses, read};
use crate::{Error, Result, registry, runs};

/// Recordings with pictures, of the worst and of the best.
pub(super) const WORST: usize = 8;
pub(super) const BEST: usize = 4;

/// Column names under which people state a licence.
const LICENCE: [&str; 3] = ["licence", "license", "Licence"];

/// What a model's card says that is needed here.
#[derive(Deserialize)]
struct Card {
    run: String,
    manifest: String,
    settings: TrainSettings,
    #[serde(default)]
    members: Vec<BlendPart>,
}

/// Recordings of the data set that a model version was trained on.
pub(super) async fn recordings(store: &dyn Store, version: &str) -> Result<u64> {
    let Card { manifest, .. } = read(store, &format!("{version}card.json")).await?;
    let sealed: SealedManifest = read(store, &manifest).await?;
    Ok(sealed.rows)
}

pub(super) async fn model(store: &dyn Store, version: &str) -> Result<Report> {
    let Card { run, manifest, settings, members } =
        read(store, &format!("{version}card.json")).await?;
    let trained: Trained = read(store, &keys::run(&run, "result.json")).await?;
    let mut cases = cases(store, &manifest).await?;
    // Tested are those that the table has.
    let tested = ids(store, &trained.predictions).await?;
    for case in &mut cases {
        case.fold = tested.contains(&case.recording.id).then_some(0);
    }
    let seeds = vec![guesses(store, &cases, &[trained.predictions]).await?];
    let ridge = match trained.evaluation.ridge {
        Some(ridge) => Some(guesses(store, &cases, &[ridge.predictions]).await?),
        None => None,
    };
    let coverage = settings.coverage;
    let work = spawn_blocking(move || {
        let said = seeds.clone();
        let material = Material { cases: &cases, seeds: said, ridge, by: &[], coverage };
        (findings(&material), cases, seeds)
    });
    let (found, cases, seeds) = work.await?;
    let how = format!(
        "On the test split, {} recordings of {} speakers whom the training had not heard.",
        found.recordings, found.speakers
    );
    let curves = vec![epochs(store, &run).await?];
    let name = format!("Model {}", spoken(version));
    let mut report =
        report(store, name, settings, how, found, (&manifest, cases, seeds), curves).await?;
    report.members = members;
    report.drift = match keys::version_of(version) {
        Some((model, number)) => from_champion(store, &model, number, &manifest).await?,
        None => None,
    };
    Ok(report)
}

/// How far a version's data is from its champion's.
async fn from_champion(
    store: &dyn Store,
    model: &Name,
    number: u64,
    manifest: &str,
) -> Result<Option<Drift>> {
    let champion = registry::champion(store, model).await?.map(|champion| champion.version);
    let Some(champion) = champion.filter(|champion| *champion != number) else { return Ok(None) };
    let reference = registry::card(store, model, champion).await?.manifest;
    drift(store, &reference, manifest).await.map(Some)
}

pub(super) async fn study(store: &dyn Store, listed: &Listed) -> Result<Report> {
    let found = listed.findings.clone();
    let found = found.ok_or_else(|| {
        Error::Study(format!(
            "study {} has not ended: repeat its `voxage evaluate --cv`",
            listed.study
        ))
    })?;
    let study = listed.open(store).await?;
    let (seeds, _) = study.guesses(store).await?;
    let mut curves = Vec::new();
    for part in study.parts().iter().filter(|part| part.seed.is_some()) {
        curves.push(epochs(store, &part.request.run_id()).await?);
    }
    let request = &study.request;
    let what = match &request.hold_out {
        None => "speakers".to_owned(),
        Some(column) => format!("values of the column {column} (and their speakers)"),
    };
    let how = format!(
        "By cross-validation: {} recordings of {} speakers, each predicted by trainings that had \
         not heard the speaker; {} folds of {what}, {}.",
        found.recordings,
        found.speakers,
        study.folds.len(),
        request.seeds_in_words(),
    );
    let name = format!("Study {}", study.id);
    let settings = request.settings.clone();
    let data = (&*request.manifest, study.cases, seeds);
    report(store, name, settings, how, found, data, curves).await
}

async fn report(
    store: &dyn Store,
    name: String,
    settings: TrainSettings,
    how: String,
    findings: Findings,
    (manifest, cases, seeds): (&str, Vec<Case>, Vec<Vec<Guess>>),
    mut curves: Vec<Vec<Metric>>,
) -> Result<Report> {
    let data = data(store, manifest, &cases).await?;
    let tested = cases.into_iter().filter(|case| case.fold.is_some());
    let mut points: Vec<_> = tested
        .enumerate()
        .map(|(i, case)| {
            let sum: f64 = seeds.iter().map(|guesses| guesses[i].age).sum();
            Point { case, predicted: sum / seeds.len() as f64, picture: None }
        })
        .collect();
    points.sort_by(|a, b| b.error().abs().total_cmp(&a.error().abs()));
    let best = points.len().saturating_sub(BEST);
    for (i, point) in points.iter_mut().enumerate() {
        if i < WORST || i >= best {
            let (key, row) = point.case.place.clone();
            let bytes = store.get(&key).await?;
            let picture = spawn_blocking(move || mel::picture(bytes, row)).await?;
            point.picture = picture.map_err(|error| Error::damaged(&key, error))?;
        }
    }
    curves.retain(|curve| !curve.is_empty());
    Ok(Report {
        name,
        settings,
        how,
        findings,
        points,
        curves,
        data,
        drift: None,
        members: Vec::new(),
    })
}

/// The ends of a run's epochs.
async fn epochs(store: &dyn Store, run: &str) -> Result<Vec<Metric>> {
    let mut metrics = runs::metrics(store, run).await?;
    metrics.retain(|metric| metric.epoch_end);
    Ok(metrics)
}

async fn ids(store: &dyn Store, table: &str) -> Result<BTreeSet<String>> {
    let bytes = store.get(table).await?;
    let mut reader = csv::Reader::from_reader(&*bytes);
    let id = |record: csv::Result<csv::StringRecord>| {
        let record = record.map_err(|error| Error::damaged(table, error))?;
        Ok(record.get(0).unwrap_or_default().to_owned())
    };
    reader.records().map(id).collect()
}

async fn data(store: &dyn Store, manifest: &str, cases: &[Case]) -> Result<Data> {
    let sealed: SealedManifest = read(store, manifest).await?;
    let mut ages: Vec<f64> = cases.iter().map(|case| case.age).collect();
    ages.sort_by(f64::total_cmp);
    let age = |place: usize| ages.get(place).copied().unwrap_or(f64::NAN);
    let count = |name: &str, of: fn(&Case) -> &'static str| {
        cases.iter().filter(|case| of(case) == name).count() as u64
    };
    let stated = |case: &Case| {
        let values = LICENCE.iter().map(|column| case.recording.value(column));
        let mut words = values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
        words.find(|words| !words.is_empty())
    };
    let mut licences: BTreeMap<String, u64> = BTreeMap::new();
    for licence in cases.iter().filter_map(stated) {
        *licences.entry(licence).or_default() += 1;
    }
    let speakers: BTreeSet<_> = cases.iter().map(Case::speaker).collect();
    Ok(Data {
        manifest: manifest.to_owned(),
        recordings: cases.len() as u64,
        speakers: speakers.len() as u64,
        rejects: sealed.rejects,
        hours: cases.iter().map(|case| case.duration_s).sum::<f64>() / 3600.0,
        ages: [age(0), age(ages.len() / 2), age(ages.len().saturating_sub(1))],
        bands: AGE_BANDS.into_iter().map(|band| (band, count(band, Case::band))).collect(),
        genders: ["female", "male", "unknown"]
            .into_iter()
            .map(|gender| (gender, count(gender, Case::gender)))
            .filter(|(_, count)| *count > 0)
            .collect(),
        licences: licences.into_iter().map(|(licence, n)| format!("{licence} ({n})")).collect(),
    })
}
