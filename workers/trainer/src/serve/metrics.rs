//! What a server of predictions counts, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper ends of the histograms' buckets, in seconds.
const BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// A request, from its first byte to the answer.
    Request,
    /// From bytes to features.
    Extract,
    /// From features to an age.
    Predict,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum_s: f64,
}

/// The counts of a server.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    in_hand: AtomicU64,
    /// Answers by status.
    answers: Mutex<BTreeMap<u16, u64>>,
    stages: Mutex<BTreeMap<Stage, Histogram>>,
    /// Seconds of audio that were predicted, in milliseconds.
    audio_ms: AtomicU64,
}

/// A request that is not answered yet.
pub(super) struct InHand<'a>(&'a Metrics);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Requests that are not answered yet.
    pub(super) fn in_hand(&self) -> u64 {
        self.in_hand.load(Ordering::Relaxed)
    }

    /// A request comes in, and is in hand as long as this is held: its client may go away.
    pub(super) fn begin(&self) -> InHand<'_> {
        self.in_hand.fetch_add(1, Ordering::Relaxed);
        InHand(self)
    }

    /// It is answered.
    pub(super) fn end(&self, status: u16, took: Duration) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() +=
            1;
        self.took(Stage::Request, took);
    }

    /// Audio was predicted.
    pub(super) fn audio(&self, seconds: f64) {
        self.audio_ms.fetch_add((seconds * 1000.0) as u64, Ordering::Relaxed);
    }

    /// A stage took its time.
    pub(super) fn took(&self, stage: Stage, time: Duration) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let (histogram, seconds) = (stages.entry(stage).or_default(), time.as_secs_f64());
        for (count, upper) in histogram.buckets.iter_mut().zip(BUCKETS) {
            *count += u64::from(seconds <= upper);
        }
        histogram.count += 1;
        histogram.sum_s += seconds;
    }

    /// Everything in Prometheus' text format.
    pub(super) fn text(&self, model: &str) -> String {
        let mut text = String::new();
        let head = |name: &str, kind: &str, help: &str| {
            format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")
        };
        text += &head("voxage_serve_model_info", "gauge", "The model version that answers.");
        let _ = writeln!(text, "voxage_serve_model_info{{version=\"{model}\"}} 1");
        text += &head("voxage_serve_requests_in_hand", "gauge", "Requests not answered yet.");
        let _ = writeln!(text, "voxage_serve_requests_in_hand {}", self.in_hand());
        text += &head("voxage_serve_answers_total", "counter", "Answers by status.");
        for (status, n) in &*self.answers.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = writeln!(text, "voxage_serve_answers_total{{status=\"{status}\"}} {n}");
        }
        text += &head("voxage_serve_audio_seconds_total", "counter", "Audio that was predicted.");
        let audio_s = self.audio_ms.load(Ordering::Relaxed) as f64 / 1000.0;
        let _ = writeln!(text, "voxage_serve_audio_seconds_total {audio_s}");
        text += &head("voxage_serve_stage_seconds", "histogram", "Time of a stage.");
        for (stage, histogram) in &*self.stages.lock().unwrap_or_else(PoisonError::into_inner) {
            let stage = format!("stage=\"{}\"", format!("{stage:?}").to_lowercase());
            for (count, upper) in histogram.buckets.iter().zip(BUCKETS) {
                let _ = writeln!(
                    text,
                    "voxage_serve_stage_seconds_bucket{{{stage},le=\"{upper}\"}} {count}"
                );
            }
            let Histogram { count, sum_s, .. } = histogram;
            let _ = writeln!(
                text,
                "voxage_serve_stage_seconds_bucket{{{stage},le=\"+Inf\"}} {count}\n\
                 voxage_serve_stage_seconds_sum{{{stage}}} {sum_s}\n\
                 voxage_serve_stage_seconds_count{{{stage}}} {count}"
            );
        }
        text
    }
}
