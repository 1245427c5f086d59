//! `voxage studies`: what cross-validations found, and how they differ.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Arg, Command};
use serde_json::json;
use tokio::task::spawn_blocking;
use voxage_coordinator::study::{
    Blended, Bounded, Cells, Comparison, Findings, Listed, Measures, Request, Share, Study, blend,
    compare, studies, study,
};
use voxage_transport::Store;

use crate::Call;
use crate::settings::Keys;

pub const KEYS: Keys = &["root", "s3"];

pub fn command() -> Command {
    Command::new("studies")
        .about("List cross-validations, show what one found, compare two, or blend some")
        .after_help(
            "`voxage evaluate --cv 5` makes one. `blend` says what a weighted mean of several \
             ways of learning, or of one's seeds, would be worth: `voxage models blend` makes it.",
        )
        .arg(
            Arg::new("action")
                .value_name("ACTION")
                .required(true)
                .value_parser(["list", "show", "compare", "blend"])
                .help("list, show STUDY, compare STUDY STUDY, or blend STUDY …"),
        )
        .arg(
            Arg::new("studies")
                .value_name("STUDY")
                .num_args(0..)
                .help("A study's name, or its beginning"),
        )
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let store = call.resolved.settings.existing_store().await?;
    let action = call.matches.get_one::<String>("action").context("no action")?.as_str();
    let names: Vec<&String> = call.matches.get_many("studies").into_iter().flatten().collect();
    match (action, &names[..]) {
        ("list", []) => {
            let studies = studies(&*store).await?;
            call.output.answer(&json!({ "studies": studies }), || listed(&studies))?;
        }
        ("show", [name]) => {
            let study = study(&*store, name).await?;
            call.output.answer(&study, || match &study.findings {
                Some(findings) => shown(findings),
                None => format!(
                    "study {}: {}\ntrainings are missing: repeat its `voxage evaluate --cv`",
                    study.study,
                    about(&study.request, None)
                ),
            })?;
        }
        ("compare", [a, b]) => {
            let a = study(&*store, a).await?.open(&*store).await?;
            let b = study(&*store, b).await?.open(&*store).await?;
            let compared = compared(&*store, &a, &b).await?;
            call.output.answer(&compared, || comparison(&compared))?;
        }
        ("blend", [_, ..]) => {
            let mut studies = Vec::new();
            for name in names {
                let study = study(&*store, name).await?.open(&*store).await?;
                let said = study.guesses(&*store).await?.0;
                studies.push((study, said));
            }
            let blended = spawn_blocking(move || blend(&studies)).await??;
            call.output.answer(&blended, || mixture(&blended))?;
        }
        ("list", _) => misuse!("`studies list` takes no names: `studies show STUDY` shows one"),
        ("show", _) => misuse!("say which study: `voxage studies list` lists them"),
        ("blend", _) => misuse!("say which studies: `voxage studies list` lists them"),
        _ => misuse!("say which two studies: `voxage studies list` lists them"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares two studies.
pub async fn compared(store: &dyn Store, a: &Study, b: &Study) -> Result<Comparison> {
    let (of_a, of_b) = (a.guesses(store).await?.0, b.guesses(store).await?.0);
    Ok(compare((a, &of_a), (b, &of_b))?)
}

/// What a study measures, in a line, and what it found.
fn about(request: &Request, findings: Option<&Findings>) -> String {
    let made = findings.map_or(request.folds, |findings| findings.folds.len() as u64);
    let folds = match &request.hold_out {
        None => format!("{made} folds of speakers"),
        Some(column) => format!("{made} folds of values of {column}"),
    };
    let seeds = request.seeds_in_words();
    let architecture = request.settings.architecture.name();
    let told = ["architecture", "seed"];
    let changed = request.settings.changed().into_iter();
    let changed = changed.filter(|(name, _)| !told.contains(&name.as_str()));
    let changed: String = changed.map(|(name, value)| format!(", {name} {value}")).collect();
    let by: String = request.by.iter().map(|column| format!(", by {column}")).collect();
    format!("{architecture}{changed}, {folds}{by}, {seeds}, on {}", request.manifest)
}

fn listed(studies: &[Listed]) -> String {
    if studies.is_empty() {
        return "there are no studies yet: `voxage evaluate --cv 5` makes one".into();
    }
    let mut text = format!("{:16} {:>6} {:>6} {:>6}  {}\n", "study", "RMSE", "MAE", "r", "what");
    for Listed { study, request, findings } in studies {
        let cell = |of: fn(&Measures) -> Option<Bounded>| match findings {
            Some(findings) => number(of(&findings.scores).map(|bounded| bounded.value)),
            None => "–".into(),
        };
        let (rmse, mae, r) = (cell(|m| m.rmse), cell(|m| m.mae), cell(|m| m.pearson));
        let state = if findings.is_some() { "" } else { " (not finished)" };
        let what = about(request, findings.as_ref());
        let _ = writeln!(text, "{study:16} {rmse:>6} {mae:>6} {r:>6}  {what}{state}");
    }
    text
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".into(), |value| format!("{value:.2}"))
}

fn range(bounded: Option<Bounded>) -> String {
    bounded.map_or("–".into(), |Bounded { value, low, high }| {
        format!("{value:6.2} ({low:.2} to {high:.2})")
    })
}

/// What was found, for people.
pub fn shown(findings: &Findings) -> String {
    let mut text = String::new();
    if let (Some(study), Some(request)) = (&findings.study, &findings.request) {
        let _ = writeln!(text, "study {study}: {}", about(request, Some(findings)));
    }
    let _ = writeln!(
        text,
        "{} recordings of {} speakers; in parentheses what 95 of 100 samples of speakers give\n",
        findings.recordings, findings.speakers
    );
    if let Some(caution) = findings.caution() {
        let _ = writeln!(text, "{caution}\n");
    }
    let Measures { rmse, mae, median_ae, r2, pearson, ccc, slope } = findings.scores;
    for (name, value) in [
        ("RMSE", rmse),
        ("MAE", mae),
        ("median error", median_ae),
        ("R²", r2),
        ("r", pearson),
        ("concordance", ccc),
        ("slope", slope),
    ] {
        let _ = writeln!(text, "{name:14} {}", range(value));
    }
    let _ = writeln!(
        text,
        "\n{:28} {:>6} {:>6}   {:28} MAE better by",
        "to be beaten", "RMSE", "MAE", "RMSE better by"
    );
    for rival in &findings.baselines {
        let (rmse, mae) = (number(rival.scores.rmse), number(rival.scores.mae));
        let better = |bounded: Option<Bounded>| {
            range(bounded.map(|b| Bounded { value: -b.value, low: -b.high, high: -b.low }))
        };
        let _ = writeln!(
            text,
            "{:28} {rmse:>6} {mae:>6}   {:28} {}",
            rival.name,
            better(rival.rmse),
            better(rival.mae)
        );
    }
    for cells in &findings.cells {
        text += &parts(cells);
    }
    if let Some(intervals) = &findings.intervals {
        let _ = writeln!(
            text,
            "\n{:24} {:>6} {:>8} {:>8}",
            format!("intervals of {:.0} %", 100.0 * intervals.nominal),
            "n",
            "held",
            "width"
        );
        for held in intervals.parts() {
            let share = format!("{:.1} %", 100.0 * held.share);
            let _ = writeln!(text, "{:24} {:>6} {share:>8} {:>8.1}", held.name, held.n, held.width);
        }
        if intervals.without > 0 {
            let _ = writeln!(
                text,
                "{} predictions have none: too few recordings were there to calibrate by",
                intervals.without
            );
        }
    }
    for warning in findings.leaks.warnings() {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    for leak in &findings.leaks.pairs {
        let _ = writeln!(text, "  {} and {} share {}", leak.ids[0], leak.ids[1], leak.what);
    }
    text
}

fn parts(Cells { by, cells }: &Cells) -> String {
    let mut text = format!(
        "\n{:24} {:>6} {:>8} {:>7} {:>7} {:>7}   {:>9} {:>7}\n",
        format!("by {by}"),
        "n",
        "speakers",
        "RMSE",
        "MAE",
        "bias",
        "mean RMSE",
        "MAE"
    );
    for cell in cells {
        let _ = writeln!(
            text,
            "{:24} {:>6} {:>8} {:>7.2} {:>7.2} {:>+7.2}   {:>9.2} {:>7.2}",
            cell.name,
            cell.n,
            cell.speakers,
            cell.rmse,
            cell.mae,
            cell.bias,
            cell.mean_rmse,
            cell.mean_mae
        );
    }
    text
}

/// A blend, for people.
fn mixture(blended: &Blended) -> String {
    let mut text = format!(
        "{} recordings of {} speakers; each fold is predicted under weights found on the others\n\n\
         blend                    RMSE {}\nunder equal weights      RMSE {}\n\n\
         {:16} {:>7}   {:28} the blend's less that\n",
        blended.recordings,
        blended.speakers,
        range(blended.rmse),
        range(blended.equal),
        "study",
        "weight",
        "RMSE alone"
    );
    for Share { study, weight, rmse, blend_less } in &blended.members {
        let (rmse, less) = (range(*rmse), range(*blend_less));
        let _ = writeln!(text, "{study:16} {weight:>7.3}   {rmse:28} {less}");
    }
    text
}

/// A comparison, for people.
pub fn comparison(compared: &Comparison) -> String {
    let [a, b] = &compared.studies;
    let mut text = format!(
        "{a} against {b}: {} recordings of {} speakers\n",
        compared.recordings, compared.speakers
    );
    for (name, [one, other, difference]) in [("RMSE", compared.rmse), ("MAE", compared.mae)] {
        let [one, other] = [one, other].map(|bounded| number(bounded.map(|bounded| bounded.value)));
        let _ = writeln!(text, "{name:5} {one} and {other}, a difference of {}", range(difference));
    }
    text += match compared.rmse[2] {
        Some(Bounded { high, .. }) if high < 0.0 => {
            "the first is better: chance alone does not explain the difference\n"
        }
        Some(Bounded { low, .. }) if low > 0.0 => {
            "the second is better: chance alone does not explain the difference\n"
        }
        _ => "chance alone may explain the difference\n",
    };
    if !compared.same_folds {
        text += "they hold out other folds: part of the difference may come from that\n";
    }
    text
}
