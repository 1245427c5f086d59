//! A small plot as inline SVG: axes, points, lines, bars.
//!
//! Always holds: colours are classes, which the page's style gives for light and dark; the
//! letters can be read on a phone, since a plot is no wider than one.

use std::fmt::Write as _;

const WIDTH: f64 = 360.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// A plot under way.
#[derive(Debug)]
pub(crate) struct Plot {
    body: String,
    height: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Plot {
    /// A plot of some height in pixels; `x` and `y` are what each axis is called and spans.
    pub(crate) fn new(height: f64, x: (&str, f64, f64), y: (&str, f64, f64)) -> Self {
        let body = String::new();
        let mut plot = Self { body, height, x: widened(x.1, x.2), y: widened(y.1, y.2) };
        let (bottom, right) = (height - BOTTOM, WIDTH - RIGHT);
        for tick in ticks(plot.x) {
            let at = plot.across(tick);
            let _ = write!(
                plot.body,
                r#"<line class="grid" x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{bottom}"/><text x="{at:.1}" y="{}" text-anchor="middle">{tick}</text>"#,
                bottom + 15.0
            );
        }
        for tick in ticks(plot.y) {
            let at = plot.up(tick);
            let _ = write!(
                plot.body,
                r#"<line class="grid" x1="{LEFT}" y1="{at:.1}" x2="{right}" y2="{at:.1}"/><text x="{}" y="{:.1}" text-anchor="end">{tick}</text>"#,
                LEFT - 6.0,
                at + 4.0
            );
        }
        let middle = (TOP + bottom) / 2.0;
        let _ = write!(
            plot.body,
            r#"<text class="name" x="{}" y="{}" text-anchor="middle">{}</text><text class="name" x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{}</text>"#,
            (LEFT + right) / 2.0,
            height - 6.0,
            escaped(x.0),
            escaped(y.0)
        );
        plot
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, y: f64) -> f64 {
        let high = self.height - TOP - BOTTOM;
        TOP + high - (y - self.y.0) / (self.y.1 - self.y.0) * high
    }

    /// A dot that says something when it is pointed at.
    pub(crate) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, says: &str) {
        let (x, y) = (self.across(x), self.up(y));
        let _ = write!(
            self.body,
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"><title>{}</title></circle>"#,
            escaped(says)
        );
    }

    /// A line through points, within the frame.
    pub(crate) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (i, (x, y)) in points.iter().enumerate() {
            let step = if i == 0 { 'M' } else { 'L' };
            let y = y.clamp(self.y.0, self.y.1);
            let _ = write!(path, "{step}{:.1} {:.1}", self.across(*x), self.up(y));
        }
        let _ = write!(self.body, r#"<path class="{class}" d="{path}"/>"#);
    }

    /// The plot; `says` is for those who do not see it.
    pub(crate) fn finish(self, says: &str) -> String {
        let Self { body, height, .. } = self;
        format!(
            r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}">{body}</svg>"#,
            escaped(says)
        )
    }
}

/// Bars in pairs: a name with what stands behind it, and two lengths, written with so many
/// digits behind the point.
pub(crate) fn bars(
    rows: &[(String, String, f64, Option<f64>)],
    (digits, unit): (usize, &str),
    says: &str,
) -> String {
    let most = rows.iter().flat_map(|row| [row.2, row.3.unwrap_or(0.0)]).fold(0.0, f64::max);
    let room = WIDTH - 70.0;
    let mut body = String::new();
    let mut top = 0.0;
    for (name, behind, value, other) in rows {
        let (name, behind) = (escaped(name), escaped(behind));
        let _ = write!(
            body,
            r#"<text class="row" x="0" y="{}">{name} <tspan class="soft">{behind}</tspan></text>"#,
            top + 13.0
        );
        top += 19.0;
        for (class, value) in [("own", Some(*value)), ("other", *other)] {
            let Some(value) = value else { continue };
            let width = if most > 0.0 { value / most * room } else { 0.0 };
            let _ = write!(
                body,
                r#"<rect class="{class}" x="0" y="{top}" width="{width:.1}" height="10" rx="2"/><text x="{:.1}" y="{}">{value:.digits$}{unit}</text>"#,
                width + 5.0,
                top + 9.0
            );
            top += 13.0;
        }
        top += 6.0;
    }
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {top}" role="img" aria-label="{}">{body}</svg>"#,
        escaped(says)
    )
}

/// Text within HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{FFFD}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A span that is one, if its ends are numbers.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let (low, high) = if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 1.0) };
    if high - low > 1e-9 { (low, high) } else { (low - 0.5, high + 0.5) }
}

/// Round numbers within a span, five or so.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let fits = |step: &&f64| **step * power >= rough;
    let step = power * [1.0, 2.0, 5.0, 10.0].iter().find(fits).copied().unwrap_or(10.0);
    let (first, last) = ((low / step).ceil() as i64, (high / step + 1e-9).floor() as i64);
    let rounded = |i: i64| (i as f64 * step * 1e6).round() / 1e6;
    (first..=last).map(rounded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks((0.0, 80.0)), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(ticks((0.1, 0.52)), [0.1, 0.2, 0.3, 0.4, 0.5]);
        assert_eq!(ticks((-23.0, 31.0)), [-20.0, 0.0, 20.0]);
    }

    #[test]
    fn what_people_write_stays_text() {
        assert_eq!(escaped("<b a=\"'&\u{1}"), "&lt;b a=&quot;&#39;&amp;\u{FFFD}");
    }
}
