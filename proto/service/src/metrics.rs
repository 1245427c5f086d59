//! What is counted, as Prometheus reads it.

use std::time::Duration;

use ::metrics::{Gauge, describe_counter, describe_gauge, describe_histogram, gauge};
use axum::Router;
use axum::http::header;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;

/// Upper ends of the buckets of times, in seconds: from a small file to a long queue.
const BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// Between two cleanings of what is counted.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What a process counts. Clones count the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    build: Gauge,
}

impl Metrics {
    /// Counts from now on all that this process says by the macros of `metrics`. `about` are
    /// labels of `voxage_build_info`. A gauge that is not set for as long as it `lasts` is
    /// told no more: what it was about is gone.
    ///
    /// # Errors
    /// If that is done already.
    pub fn install(
        about: &[(&'static str, String)],
        lasts: Option<Duration>,
    ) -> Result<Self, String> {
        let text = |error: BuildError| error.to_string();
        let times = Matcher::Suffix("_seconds".into());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(times, &BUCKETS);
        let builder = builder.map_err(text)?.idle_timeout(MetricKindMask::GAUGE, lasts);
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        ::metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
        for (name, help) in COUNTERS {
            describe_counter!(name, help);
        }
        for (name, help) in GAUGES {
            describe_gauge!(name, help);
        }
        for (name, help) in TIMES {
            describe_histogram!(name, help);
        }
        let build = gauge!("voxage_build_info", about);
        build.set(1.0);
        Ok(Self { handle, build })
    }

    /// All of it, in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        self.handle.render()
    }

    /// Keeps what is counted small, for ever.
    pub async fn upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            self.build.set(1.0);
            // What is told no more is found by telling.
            drop(self.handle.render());
        }
    }

    /// `/metrics`.
    pub fn routes(&self) -> Router {
        let own = self.clone();
        Router::new().route(
            "/metrics",
            get(move || async move {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], own.text())
            }),
        )
    }
}

/// What only grows.
const COUNTERS: [(&str, &str); 8] = [
    ("voxage_recordings_total", "Recordings that were done, by outcome."),
    ("voxage_rejects_total", "Recordings that were rejected, by stage and code."),
    ("voxage_audio_seconds_total", "Audio that features were made of."),
    ("voxage_tasks_total", "Tasks that were settled, by outcome."),
    ("voxage_store_bytes_total", "Bytes of objects, by direction."),
    ("voxage_store_retries_total", "Requests that a store did not answer, or could not."),
    ("voxage_trainings_total", "Trainings that were taken up, by how that ended."),
    ("voxage_predicted_shards_total", "Shards of predictions, by outcome."),
];

/// What is as it is now.
const GAUGES: [(&str, &str); 20] = [
    ("voxage_build_info", "This program."),
    ("voxage_queue_messages", "Messages at the broker, by queue and state."),
    ("voxage_queue_consumers", "Consumers of a queue."),
    ("voxage_processes", "Processes that were heard of late, by role."),
    ("voxage_dataset_recordings", "Recordings of a data set, by state."),
    ("voxage_dataset_trouble", "1 while a data set does not go on."),
    ("voxage_oldest_batch_age_seconds", "Age of the oldest batch that is not done; 0 if all are."),
    ("voxage_schedule_waiting_seconds", "Since the oldest firing at work was due; 0 if none is."),
    ("voxage_schedule_failed", "1 while a firing has failed and waits for a retry."),
    ("voxage_schedule_missed", "Firings before the newest that nobody was there for."),
    ("voxage_schedule_bad_manifests", "Manifests that the last taking in left out."),
    ("voxage_schedule_paused", "1 while a schedule is paused."),
    ("voxage_training_at_work", "1 while a training is at work."),
    ("voxage_training_step", "Steps of the training at work."),
    ("voxage_training_epoch", "Epoch of the training at work."),
    ("voxage_training_loss", "Mean loss of its last steps."),
    ("voxage_training_validation_rmse_years", "RMSE of its last epoch on the split that stops it."),
    ("voxage_training_samples_per_second", "Samples that it trains in a second."),
    ("voxage_training_loader_wait_ratio", "Share of the time that it waits for samples."),
    ("voxage_training_progress_timestamp_seconds", "When it last said how it goes."),
];

/// How long things take.
const TIMES: [(&str, &str); 2] = [
    ("voxage_stage_seconds", "Time of a stage of a recording or shard."),
    ("voxage_task_wait_seconds", "From a task's publication to a worker's hands."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_in_prometheus_words() {
        let metrics = Metrics::install(&[("role", "test".to_owned())], None).unwrap();
        ::metrics::counter!("voxage_tasks_total", "outcome" => "done").increment(2);
        ::metrics::histogram!("voxage_task_wait_seconds").record(0.2);
        let text = metrics.text();
        for line in [
            "voxage_build_info{role=\"test\"} 1",
            "# TYPE voxage_tasks_total counter",
            "# HELP voxage_tasks_total Tasks that were settled, by outcome.",
            "voxage_tasks_total{outcome=\"done\"} 2",
            "voxage_task_wait_seconds_bucket{le=\"0.25\"} 1",
            "voxage_task_wait_seconds_bucket{le=\"0.1\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(Metrics::install(&[], None).is_err());
    }
}
