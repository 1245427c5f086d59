//! How long work goes: a bar with rate and time left on a terminal, plain lines otherwise.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The progress of one stage, on standard error.
pub struct Progress {
    stage: &'static str,
    bar: Option<ProgressBar>,
    start: Instant,
    last: Instant,
    /// Steps that were done before.
    before: u64,
}

impl Progress {
    /// A stage of `total` steps; 0 if that is not known.
    pub fn new(stage: &'static str, total: u64) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = if total > 0 { ProgressBar::new(total) } else { ProgressBar::no_length() };
            let template = if total > 0 {
                "{prefix:8} {bar:30} {human_pos}/{human_len} {per_sec} ETA {eta} {msg}"
            } else {
                "{prefix:8} {spinner} {human_pos} {per_sec} {msg}"
            };
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.with_prefix(stage)
        });
        Self { stage, bar, start: now, last: now, before: 0 }
    }

    /// A stage that goes on from where it is: rates leave out what was done before.
    pub fn resumed(stage: &'static str, before: u64) -> Self {
        let progress = Self { before, ..Self::new(stage, 1) };
        if let Some(bar) = &progress.bar {
            bar.set_position(before);
            bar.reset_eta();
        }
        progress
    }

    /// `done` of `total` steps are done.
    pub fn set(&mut self, done: u64, total: u64, message: &str) {
        if let Some(bar) = &self.bar {
            if total > 0 {
                bar.set_length(total);
            }
            bar.set_position(done);
            bar.set_message(message.to_owned());
        } else if self.last.elapsed() >= LINE_EVERY {
            self.last = Instant::now();
            self.line(done, total, message);
        }
    }

    /// Says something that stays.
    pub fn note(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say!("{message}")),
            None => say!("{message}"),
        }
    }

    /// The end of the stage.
    pub fn finish(self, summary: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say!("{:8} {summary} in {:.1} s", self.stage, self.start.elapsed().as_secs_f64());
    }

    fn line(&self, done: u64, total: u64, message: &str) {
        let rate = done.saturating_sub(self.before) as f64 / self.start.elapsed().as_secs_f64();
        let left = total.saturating_sub(done) as f64 / rate;
        let left = if rate > 0.0 { format!("ETA {left:.0} s") } else { "ETA unknown".into() };
        if total > 0 {
            say!("{:8} {done}/{total} {rate:.1}/s {left} {message}", self.stage);
        } else {
            say!("{:8} {done} {rate:.1}/s {message}", self.stage);
        }
    }
}
