//! A report as one HTML page.

use std::fmt::Write as _;

use super::card::{MEMBERS_LEARNED, PROHIBITED, licence, limits, uses};
use super::figures::{self, Figure};
use super::gather::{BEST, WORST};
use super::svg::escaped;
use super::{Data, Point, Report};
use crate::drift::{Drift, WARN_PSI};
use crate::study::{Bounded, Cells, Findings};

const STYLE: &str = include_str!("style.css");

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let Report { name, how, findings, .. } = report;
    let name = escaped(name);
    let mut body = format!(
        "<h1>{name}</h1>\n<p>Ages of speakers, estimated from {}. {}</p>\n",
        escaped(&uses(report)),
        escaped(how)
    );
    if report.points.is_empty() {
        body += "<p class=\"warning\">No recording with an age was held out: there is nothing to show how good it is.</p>\n";
    } else {
        body += &headline(findings);
        body += &rivals(findings);
        let predictions = [figures::predicted(report), figures::residuals(report)];
        body += &section("Predictions", None, &predictions);
        body += &section("Learning curves", None, &figures::curves(report));
        let parts = figures::parts(report);
        body += &section("Errors by part", Some(["model", "mean age"]), &parts);
        body += &crossed(&findings.crossed);
        if let Some(coverage) = &findings.intervals {
            let intervals = figures::intervals(coverage);
            body += &section("Prediction intervals", Some(["measured", "promised"]), &intervals);
        }
        body += &sounds(report);
        body += &leaks(findings);
    }
    body += &data(&report.data);
    let age = figures::ages(report);
    let _ = writeln!(body, "<div class=\"grid2\">{}</div>", figure(&age));
    body += &report.drift.as_ref().map(drifted).unwrap_or_default();
    body += &use_and_limits(report);
    body += &settings(report);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name} – voxage</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn headline(findings: &Findings) -> String {
    let scores = &findings.scores;
    let tiles = [
        (scores.mae, " years", "mean absolute error"),
        (scores.rmse, " years", "root of the mean squared error (RMSE)"),
        (scores.median_ae, " years", "half of all are off by less"),
        (scores.pearson, "", "correlation r"),
        (scores.r2, "", "R², variance explained"),
        (scores.ccc, "", "concordance"),
    ];
    let mut text = "<div class=\"tiles\">\n".to_owned();
    for (value, unit, what) in tiles {
        let Some(Bounded { value, low, high }) = value else { continue };
        let digits = if unit.is_empty() { 2 } else { 1 };
        let _ = writeln!(
            text,
            "<div class=\"tile\"><b>{value:.digits$}<small>{unit}</small></b><span>{what}<br>{low:.digits$} to {high:.digits$}</span></div>"
        );
    }
    let caution = findings.caution().map_or(String::new(), |caution| format!(" {caution}"));
    let _ = writeln!(
        text,
        "</div>\n<p class=\"soft\">Below each number the range that 95 of 100 samples of speakers give \
         (bootstrap, 2,000 resamples).{caution}</p>"
    );
    text
}

fn rivals(findings: &Findings) -> String {
    let number = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.2}"));
    let better = |bounded: Option<Bounded>| {
        bounded
            .map_or("–".into(), |b| format!("{:.2} ({:.2} to {:.2})", -b.value, -b.high, -b.low))
    };
    let mut text = "<h2>What must be beaten</h2>\n<p>The same recordings, predicted by simpler rules \
                    that learned from the same speakers.</p>\n<div class=\"wide\"><table>\n<tr><th></th>\
                    <th class=\"n\">RMSE</th><th class=\"n\">MAE</th><th class=\"n\">RMSE better by</th>\
                    <th class=\"n\">MAE better by</th></tr>\n"
        .to_owned();
    let own = |of: Option<Bounded>| number(of.map(|bounded| bounded.value));
    let (rmse, mae) = (own(findings.scores.rmse), own(findings.scores.mae));
    let _ = writeln!(
        text,
        "<tr><th>this</th><td class=\"n\"><b>{rmse}</b></td><td class=\"n\"><b>{mae}</b></td><td></td><td></td></tr>"
    );
    for rival in &findings.baselines {
        let _ = writeln!(
            text,
            "<tr><th>{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escaped(&rival.name),
            number(rival.scores.rmse),
            number(rival.scores.mae),
            better(rival.rmse),
            better(rival.mae)
        );
    }
    text + "</table></div>\n"
}

/// Figures under a title, with a key to the colours of their bars.
fn section(title: &str, key: Option<[&str; 2]>, figures: &[Figure]) -> String {
    if figures.is_empty() {
        return String::new();
    }
    let key = key.map_or(String::new(), |[own, other]| {
        format!(
            "<p><span class=\"key own\"></span>{own} <span class=\"key other\"></span>{other}</p>\n"
        )
    });
    let figures: String = figures.iter().map(figure).collect();
    format!("<h2>{title}</h2>\n{key}<div class=\"grid2\">\n{figures}</div>\n")
}

fn figure(Figure { title, says, plot }: &Figure) -> String {
    let (title, says) = (escaped(title), escaped(says));
    format!("<figure><h3>{title}</h3><figcaption>{says}</figcaption>{plot}</figure>\n")
}

/// Errors by everything together, which are too many for a figure.
fn crossed(Cells { by, cells }: &Cells) -> String {
    // Studies of before have none.
    if cells.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "<details><summary>By {}</summary>\n<table>\n<tr><th></th><th class=\"n\">n</th>\
         <th class=\"n\">speakers</th><th class=\"n\">RMSE</th><th class=\"n\">MAE</th>\
         <th class=\"n\">bias</th><th class=\"n\">mean age's MAE</th></tr>\n",
        escaped(by)
    );
    for cell in cells {
        let _ = writeln!(
            text,
            "<tr><th>{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.2}</td>\
             <td class=\"n\">{:.2}</td><td class=\"n\">{:+.2}</td><td class=\"n\">{:.2}</td></tr>",
            escaped(&cell.name),
            cell.n,
            cell.speakers,
            cell.rmse,
            cell.mae,
            cell.bias,
            cell.mean_mae
        );
    }
    text + "</table>\n</details>\n"
}

fn sounds(report: &Report) -> String {
    let one = |point: &Point| {
        let case = &point.case;
        let id = escaped(&case.recording.id);
        let picture = point.picture.as_ref().map_or(String::new(), |uri| {
            format!("<img src=\"{uri}\" alt=\"Spectrogram of {id}\">")
        });
        format!(
            "<figure>{picture}<figcaption><b>{} years, predicted {:.1}</b> ({:+.1})<br>{id}, {}, {:.1} s</figcaption></figure>\n",
            case.age,
            point.predicted,
            point.error(),
            case.gender(),
            case.duration_s
        )
    };
    let n = report.points.len();
    let worst: String = report.points.iter().take(WORST).map(one).collect();
    let best: String =
        report.points[WORST.min(n).max(n.saturating_sub(BEST))..].iter().rev().map(one).collect();
    format!(
        "<h2>The worst recordings</h2>\n<p>Spectrograms: time from left to right, pitch upwards, louder is \
         brighter.</p>\n<div class=\"sounds\">\n{worst}</div>\n<h2>Some of the best, for contrast</h2>\n\
         <div class=\"sounds\">\n{best}</div>\n"
    )
}

fn leaks(findings: &Findings) -> String {
    let mut text = "<h2>What may have leaked</h2>\n".to_owned();
    let warnings = findings.leaks.warnings();
    if warnings.is_empty() {
        text += "<p>Nothing was found: no speaker and no audio was both learned from and tested on.</p>\n";
    }
    text += match findings.leaks.near {
        None => "<p>Features were not compared: there are too many recordings.</p>\n",
        Some(0) => "<p>No other recordings have nearly the same features.</p>\n",
        Some(_) => "",
    };
    text += "<p class=\"soft\">By its features, a copy at another level, in another format or of one channel is \
             found; one that was cut, resampled or has noise, if at all, only where there is an embedding.</p>\n";
    for warning in warnings {
        let _ = writeln!(text, "<p class=\"warning\">{}.</p>", escaped(&warning));
    }
    for leak in &findings.leaks.pairs {
        let [a, b] = leak.ids.each_ref().map(|id| escaped(id));
        let _ = writeln!(text, "<p>{a} and {b} share {}.</p>", escaped(&leak.what));
    }
    text
}

fn data(data: &Data) -> String {
    let genders: Vec<_> = data.genders.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let [least, median, greatest] = data.ages;
    format!(
        "<h2>The data</h2>\n<p><code>{}</code>: {} recordings of {} speakers with an age, {}; {}; \
         {least} to {greatest} years old, half of them at most {median}. {} recordings could not be used. \
         Licence: {}.</p>\n",
        escaped(&data.manifest),
        data.recordings,
        data.speakers,
        data.length(),
        genders.join(", "),
        data.rejects,
        escaped(&licence(data))
    )
}

/// How far the data is from the champion's, the farthest first.
fn drifted(drift: &Drift) -> String {
    let warnings = drift.warnings();
    let summary = match warnings.len() {
        0 => "<p>Nothing has drifted.</p>\n".to_owned(),
        n => format!(
            "<p class=\"warning\">Drift, {n} warnings: {}.</p>\n",
            escaped(&warnings.join("; "))
        ),
    };
    let mut text = format!(
        "<h2>Drift</h2>\n<p>Against <code>{}</code>, from which the champion of then had learned. A population \
         stability index (PSI) more than {WARN_PSI} above what chance makes of it is a warning; KS is the \
         Kolmogorov-Smirnov statistic.</p>\n{summary}<details><summary>All {} columns</summary>\n<table>\n\
         <tr><th></th><th class=\"n\">PSI</th><th class=\"n\">by chance</th><th class=\"n\">KS</th><th></th></tr>\n",
        escaped(&drift.reference),
        drift.columns.len()
    );
    for column in &drift.columns {
        let _ = writeln!(
            text,
            "<tr><th>{}</th><td class=\"n\">{:.3}</td><td class=\"n\">{:.3}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escaped(&column.name),
            column.psi,
            column.chance,
            column.ks.map_or("–".to_owned(), |ks| format!("{ks:.2}")),
            if column.warns() { "drift" } else { "" }
        );
    }
    let [before, now] = drift.reject_rates.map(|rate| 100.0 * rate);
    text + &format!("</table>\n</details>\n<p>Rejects: {now:.1} % after {before:.1} %.</p>\n")
}

fn use_and_limits(report: &Report) -> String {
    let mut text = "<h2>Use and limits</h2>\n".to_owned();
    let _ = writeln!(text, "<p>{}</p>", escaped(PROHIBITED));
    for limit in limits(report) {
        let _ = writeln!(text, "<p>{}</p>", escaped(&limit));
    }
    text
}

fn settings(report: &Report) -> String {
    if !report.members.is_empty() {
        return format!("<h2>Settings</h2>\n<p>{MEMBERS_LEARNED}</p>\n");
    }
    let mut text =
        "<h2>Settings</h2>\n<details><summary>All settings of the training</summary>\n<table>\n"
            .to_owned();
    let settings = serde_json::to_value(&report.settings).unwrap_or_default();
    for (name, value) in settings.as_object().into_iter().flatten() {
        let _ = writeln!(
            text,
            "<tr><th>{}</th><td>{}</td></tr>",
            escaped(name),
            escaped(&value.to_string())
        );
    }
    text + "</table>\n</details>\n"
}
