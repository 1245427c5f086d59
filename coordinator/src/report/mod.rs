//! What a model or a study is and how good it is, as a page and as a card.
//!
//! Always holds: both are made of what is in the store; the page is one file that needs
//! nothing else, no script and no network.

mod card;
mod figures;
mod gather;
mod mel;
mod page;
mod svg;

use voxage_contract::training::{BlendPart, Metric, TrainSettings};
use voxage_transport::{Store, StoreExt as _};

pub use card::card;
pub use page::page;

use crate::drift::Drift;
use crate::study::{Case, Findings, Listed};
use crate::{Result, registry};

/// Everything that is told of a model or a study.
#[derive(Debug)]
pub struct Report {
    /// What it is about, for people.
    pub name: String,
    /// How it was learned.
    pub settings: TrainSettings,
    /// What a blend is the weighted mean of, with settings of their own; else nothing.
    pub members: Vec<BlendPart>,
    /// How it was measured, as a sentence.
    pub how: String,
    /// What was found.
    pub findings: Findings,
    /// The recordings that were tested.
    pub points: Vec<Point>,
    /// How the trainings went, epoch by epoch; nothing where there are no epochs.
    pub curves: Vec<Vec<Metric>>,
    /// What it learned from, and was tested on.
    pub data: Data,
    /// How far that is from what the champion of then had learned from; nothing of a study,
    /// and where there was no other champion.
    pub drift: Option<Drift>,
}

/// A recording that was tested.
#[derive(Debug)]
pub struct Point {
    /// It.
    pub case: Case,
    /// Its predicted age in years, a mean over the seeds.
    pub predicted: f64,
    /// Its spectrogram as the URI of a picture, if it is one of the best or worst.
    pub picture: Option<String>,
}

/// The recordings of a data set that have features and an age.
#[derive(Debug)]
pub struct Data {
    /// Key of the sealed manifest.
    pub manifest: String,
    /// How many.
    pub recordings: u64,
    /// Of how many speakers.
    pub speakers: u64,
    /// Recordings that could not be used.
    pub rejects: u64,
    /// Hours of audio.
    pub hours: f64,
    /// Least, median and greatest age in years.
    pub ages: [f64; 3],
    /// Recordings by band of age.
    pub bands: Vec<(&'static str, u64)>,
    /// Recordings by gender.
    pub genders: Vec<(&'static str, u64)>,
    /// What the column `licence` says, in any of them; empty if there is none.
    pub licences: Vec<String>,
}

impl Data {
    /// How long they are together, for people.
    fn length(&self) -> String {
        if self.hours < 1.0 {
            format!("{:.1} minutes", 60.0 * self.hours)
        } else {
            format!("{:.1} hours", self.hours)
        }
    }
}

impl Point {
    /// Years that it is predicted too old; below 0, too young.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.predicted - self.case.age
    }
}

/// The report of a model version, by its name (the champion, before there is one the newest),
/// `name@number`, `name@newest`, or its key; none if there is no such model.
///
/// # Errors
/// If the store fails or an object of it is damaged.
pub async fn of_model(store: &dyn Store, model: &str) -> Result<Option<Report>> {
    match registry::find(store, model).await? {
        Some(version) => gather::model(store, &version).await.map(Some),
        None => Ok(None),
    }
}

/// The report of a study.
///
/// # Errors
/// If it has not ended, the store fails or an object of it is damaged.
pub async fn of_study(store: &dyn Store, study: &Listed) -> Result<Report> {
    gather::study(store, study).await
}

/// Puts page and card beside a model version, unless they are there, or it would take long:
/// not of more than 100,000 recordings. Gives what may have leaked into its scores.
///
/// # Errors
/// If the store fails or an object of it is damaged.
pub async fn beside(store: &dyn Store, version: &str) -> Result<Vec<String>> {
    let (html, md) = (format!("{version}{PAGE}"), format!("{version}{CARD}"));
    if store.exists(&html).await? && store.exists(&md).await? {
        return Ok(Vec::new());
    }
    if gather::recordings(store, version).await? > MOST {
        return Ok(Vec::new());
    }
    let report = gather::model(store, version).await?;
    store.put_new(&md, card(&report).into()).await?;
    store.put_new(&html, page(&report).into()).await?;
    Ok(report.findings.leaks.warnings())
}

/// Recordings of a data set, at most, for a report that nobody asked for.
const MOST: u64 = 100_000;

const PAGE: &str = "report.html";
const CARD: &str = "card.md";

/// The name of a model version, for people.
fn spoken(version: &str) -> String {
    match version.split('/').collect::<Vec<_>>()[..] {
        ["models", model, "versions", number, ..] => {
            format!("{model}, version {}", number.trim_start_matches('0'))
        }
        _ => version.to_owned(),
    }
}
