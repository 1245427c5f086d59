//! A model card, as Markdown: what a model is for, what it is not for, and how far off it is.

use std::fmt::Write as _;

use voxage_contract::scores::AGE_BANDS;
use voxage_contract::training::BlendPart;

use super::{Data, Report, spoken};
use crate::drift::Drift;
use crate::study::{Bounded, Cell};

/// What it is not for.
pub(super) const PROHIBITED: &str = "Intended for statistics over many recordings, for sorting and checking \
    of data sets, and for research. It is no basis for any decision about a person: not for access by age, not \
    for insurance, employment, credit, asylum or police work; not to identify or profile anyone; not on \
    recordings that were made or are used without consent. An estimate is off by years, for some voices by \
    decades.";

/// How a blend was learned.
pub(super) const MEMBERS_LEARNED: &str = "Its members learned as their own cards say.\n";

/// What it estimates ages from.
pub(super) fn uses(report: &Report) -> String {
    let member = |part: &BlendPart| format!("{:.2} of {}", part.weight, spoken(&part.version));
    let members: Vec<_> = report.members.iter().map(member).collect();
    let mut how = report.settings.architecture.name().to_owned();
    if !members.is_empty() {
        how = format!("a weighted mean of models: {}", members.join(", "));
    }
    format!("recordings of their voices, by {how}")
}

/// Under which licence the data is, as far as it says so.
pub(super) fn licence(data: &Data) -> String {
    if data.licences.is_empty() {
        "not stated (a column licence of the manifest would be shown here)".into()
    } else {
        data.licences.join("; ")
    }
}

/// Where it is worse, in figures.
pub(super) fn limits(report: &Report) -> Vec<String> {
    let ages = report.findings.cells.iter().find(|cells| cells.by == "age");
    let cell = |band: &str| ages.and_then(|ages| ages.cells.iter().find(|cell| cell.name == band));
    let describe = |band: &str, cell: &Cell| {
        let side = if cell.bias < 0.0 { "young" } else { "old" };
        format!(
            "{} recordings of {} speakers of {band}: off by {:.1} years on average (mean age: {:.1}), \
             {:.1} years too {side}.",
            cell.n,
            cell.speakers,
            cell.mae,
            cell.mean_mae,
            cell.bias.abs()
        )
    };
    let mut limits = Vec::new();
    limits.extend(AGE_BANDS[4..].iter().filter_map(|band| Some(describe(band, cell(band)?))));
    let unknown: Vec<_> = AGE_BANDS.into_iter().filter(|band| cell(band).is_none()).collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        limits.push(format!("Nobody of {unknown} was tested: what it says of them is not known."));
    }
    let old = report.data.bands.iter().skip(4).map(|(_, n)| n).sum::<u64>();
    limits.push(format!(
        "{old} of {} recordings are of people of 50 and over. Voices unlike those of the data (other \
         languages, microphones, illnesses) may be estimated worse than measured here.",
        report.data.recordings
    ));
    limits
}

/// The card.
#[must_use]
pub fn card(report: &Report) -> String {
    let Report { name, settings, how, findings, data, drift, .. } = report;
    let mut text = format!("# {name}\nEstimates the age of a speaker from {}.\n\n", uses(report));
    let _ = writeln!(text, "## Intended and prohibited use\n{PROHIBITED}\n");
    let genders: Vec<_> = data.genders.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let bands: Vec<_> = data.bands.iter().map(|(name, n)| format!("{name}: {n}")).collect();
    let [least, median, greatest] = data.ages;
    let _ = writeln!(
        text,
        "## Data\n- `{}`: {} recordings of {} speakers with an age, {}, {} rejects\n\
         - Ages {least} to {greatest}, median {median}: {}\n- Genders: {}\n- Licence: {}\n",
        data.manifest,
        data.recordings,
        data.speakers,
        data.length(),
        data.rejects,
        bands.join(", "),
        genders.join(", "),
        // What people write is no markup.
        licence(data).replace('<', "&lt;")
    );
    let _ = writeln!(text, "## How good it is\n{how}\n");
    if findings.recordings > 0 {
        text += "| score | value | 95 of 100 samples of speakers |\n|---|---|---|\n";
        let scores = &findings.scores;
        for (name, value) in [
            ("RMSE, years", scores.rmse),
            ("MAE, years", scores.mae),
            ("median error, years", scores.median_ae),
            ("R²", scores.r2),
            ("r", scores.pearson),
            ("concordance", scores.ccc),
            ("slope of predicted over true", scores.slope),
        ] {
            if let Some(Bounded { value, low, high }) = value {
                let _ = writeln!(text, "| {name} | {value:.2} | {low:.2} to {high:.2} |");
            }
        }
        if let Some(caution) = findings.caution() {
            let _ = writeln!(text, "\n{caution}");
        }
        text += "\n| to be beaten | RMSE | MAE |\n|---|---|---|\n";
        let number = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.2}"));
        for rival in &findings.baselines {
            let (rmse, mae) = (number(rival.scores.rmse), number(rival.scores.mae));
            let _ = writeln!(text, "| {} | {rmse} | {mae} |", rival.name);
        }
        if let Some(coverage) = &findings.intervals {
            let _ = writeln!(
                text,
                "\nIntervals made to hold {:.0} % of ages hold {:.1} % and are {:.1} years wide on average.",
                100.0 * coverage.nominal,
                100.0 * coverage.all.share,
                coverage.all.width
            );
        }
    }
    if findings.recordings == 0 {
        text += "No recording with an age was held out: there is nothing to show how good it is.\n";
    }
    text += "\n## Limits\n";
    for limit in limits(report) {
        let _ = writeln!(text, "- {limit}");
    }
    for warning in findings.leaks.warnings() {
        let _ = writeln!(text, "- {warning}.");
    }
    for warning in drift.iter().flat_map(Drift::warnings) {
        let _ = writeln!(text, "- Its data has drifted from the champion's: {warning}.");
    }
    text += "\n## Training\n";
    if report.members.is_empty() {
        let settings = serde_json::to_string_pretty(settings).unwrap_or_default();
        let _ = writeln!(text, "```json\n{settings}\n```");
    } else {
        text += MEMBERS_LEARNED;
    }
    text
}
