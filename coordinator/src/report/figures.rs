//! The plots of a report.

use voxage_contract::scores::{AGE_BANDS, age_band};
use voxage_contract::training::Metric;

use super::svg::{Plot, bars};
use super::{Point, Report};
use crate::study::{Cell, Cells, Coverage, Held};

/// A plot with what it shows.
pub(super) struct Figure {
    pub title: String,
    /// What is to be seen, as a sentence or two.
    pub says: String,
    pub plot: String,
}

fn said(point: &Point) -> String {
    format!(
        "{}: {} years, predicted {:.1}",
        point.case.recording.id, point.case.age, point.predicted
    )
}

/// The ages of a plot: those that are there, and some room.
fn span(report: &Report) -> (f64, f64) {
    let ages = report.points.iter().flat_map(|point| [point.case.age, point.predicted]);
    ages.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), age| {
        (low.min((age / 10.0).floor() * 10.0), high.max((age / 10.0).ceil() * 10.0))
    })
}

/// Dots become smaller where they are many.
fn radius(report: &Report) -> f64 {
    if report.points.len() > 1000 { 1.4 } else { 2.6 }
}

/// Predicted against true age.
pub(super) fn predicted(report: &Report) -> Figure {
    let (low, high) = span(report);
    let mut plot = Plot::new(330.0, ("age", low, high), ("predicted", low, high));
    plot.line("same", &[(low, low), (high, high)]);
    for point in &report.points {
        plot.dot("dot", (point.case.age, point.predicted), radius(report), &said(point));
    }
    let n = report.points.len() as f64;
    let mean = |of: &dyn Fn(&Point) -> f64| report.points.iter().map(of).sum::<f64>() / n;
    let (age, guess) = (mean(&|point| point.case.age), mean(&|point| point.predicted));
    let mut says = "The dashed line is where every prediction would be true.".to_owned();
    if let Some(slope) = report.findings.scores.slope {
        let at = |x: f64| guess + slope.value * (x - age);
        plot.line("trend", &[(low, at(low)), (high, at(high))]);
        says += &format!(
            " For one year of age the prediction rises by {:.2} ({:.2} to {:.2}), the solid line: \
             {}.",
            slope.value,
            slope.low,
            slope.high,
            if slope.high < 1.0 {
                "the young are taken for older and the old for younger"
            } else {
                "that it keeps to the middle is not shown"
            }
        );
    }
    Figure {
        title: "Predicted against true age".into(),
        says,
        plot: plot.finish("Predicted over true age"),
    }
}

/// Errors by age, with the mean of each band.
pub(super) fn residuals(report: &Report) -> Figure {
    let (low, high) = span(report);
    let errors = report.points.iter().map(Point::error);
    let (least, most) = errors.fold((0.0f64, 0.0f64), |(a, b), error| (a.min(error), b.max(error)));
    let axis = ("predicted less true, years", 1.05 * least, 1.05 * most);
    let mut plot = Plot::new(330.0, ("age", low, high), axis);
    plot.line("same", &[(low, 0.0), (high, 0.0)]);
    for point in &report.points {
        plot.dot("dot", (point.case.age, point.error()), radius(report), &said(point));
    }
    let mut means = Vec::new();
    for band in 0..AGE_BANDS.len() {
        let of = || report.points.iter().filter(move |point| age_band(point.case.age) == band);
        let n = of().count() as f64;
        if n > 0.0 {
            let age = of().map(|point| point.case.age).sum::<f64>() / n;
            means.push((age, of().map(Point::error).sum::<f64>() / n));
        }
    }
    plot.line("trend", &means);
    for mean in &means {
        plot.dot("mark", *mean, 4.0, &format!("mean error {:+.1} years", mean.1));
    }
    let says = "Above 0 it is too old, below too young; the large dots are means of ten years.";
    Figure {
        title: "Errors by age".into(),
        says: says.into(),
        plot: plot.finish("Errors over age"),
    }
}

/// How the trainings went; nothing where there are no epochs.
pub(super) fn curves(report: &Report) -> Vec<Figure> {
    let figure = |title: &str, axis: &str, says: &str, of: fn(&Metric) -> Option<f64>| {
        let lines: Vec<Vec<(f64, f64)>> = report
            .curves
            .iter()
            .map(|curve| curve.iter().filter_map(|m| Some((m.epoch as f64, of(m)?))).collect())
            .filter(|line: &Vec<_>| !line.is_empty())
            .collect();
        let all = || lines.iter().flatten();
        let last = all().map(|point| point.0).fold(1.0, f64::max);
        let most = all().map(|point| point.1).fold(0.0, f64::max);
        let mut plot = Plot::new(250.0, ("epoch", 1.0, last), (axis, 0.0, most));
        for line in &lines {
            plot.line("curve", line);
        }
        (!lines.is_empty()).then(|| Figure {
            title: title.into(),
            says: says.into(),
            plot: plot.finish(title),
        })
    };
    let loss = "Mean squared error of what is learned, over each pass of the training split.";
    let rmse = "In years, on the speakers that decide when to stop.";
    [
        figure("Loss while training", "loss", loss, |metric| metric.loss),
        figure("Validation error", "RMSE, years", rmse, |metric| metric.stopping_rmse),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Mean absolute errors by each kind of part, beside the mean age's.
pub(super) fn parts(report: &Report) -> Vec<Figure> {
    let row = |cell: &Cell| {
        // Not "-0.0".
        let bias = (10.0 * cell.bias).round() / 10.0 + 0.0;
        let behind = format!("n = {}, bias {bias:+.1}", cell.n);
        (cell.name.clone(), behind, cell.mae, Some(cell.mean_mae))
    };
    let figure = |cells: &Cells| {
        let rows: Vec<_> = cells.cells.iter().map(row).collect();
        let title = format!("By {}", cells.by);
        let says = "Mean absolute error in years.".to_owned();
        Figure { plot: bars(&rows, (1, ""), &title), title, says }
    };
    report.findings.cells.iter().map(figure).collect()
}

/// The share of ages that intervals hold, and how wide they are.
pub(super) fn intervals(coverage: &Coverage) -> Vec<Figure> {
    let nominal = 100.0 * coverage.nominal;
    let row = |held: &Held, value, promised| {
        (held.name.clone(), format!("n = {}", held.n), value, promised)
    };
    let by_age = 1 + coverage.bands.len();
    let promised = |i| (i < by_age).then_some(nominal);
    let parts = coverage.parts().enumerate();
    let shares: Vec<_> =
        parts.map(|(i, held)| row(held, 100.0 * held.share, promised(i))).collect();
    let widths: Vec<_> = coverage.parts().map(|held| row(held, held.width, None)).collect();
    vec![
        Figure {
            title: "Ages within their interval".into(),
            says: format!(
                "By predicted age, beside the {nominal:.0} % that is promised, and by true age, for \
                 which nothing is. n counts the predictions of all seeds; {} more have no interval.",
                coverage.without
            ),
            plot: bars(&shares, (1, " %"), "Share of ages within their interval"),
        },
        Figure {
            title: "Mean width of intervals in years".into(),
            says: "By predicted and by true age.".into(),
            plot: bars(&widths, (1, ""), "Width of intervals"),
        },
    ]
}

/// How many recordings there are of each age.
pub(super) fn ages(report: &Report) -> Figure {
    let row = |(band, n): &(&str, u64)| ((*band).to_owned(), String::new(), *n as f64, None);
    let rows: Vec<_> = report.data.bands.iter().map(row).collect();
    let plot = bars(&rows, (0, ""), "Recordings by age");
    Figure { title: "Recordings by age".into(), says: "Of the whole data set.".into(), plot }
}
