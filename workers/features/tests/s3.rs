//! Recordings that are read from S3, over a real server.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use futures::TryStreamExt as _;
use voxage_contract::{FeatureSpec, Gender, Kind, Limits, Recording};
use voxage_extract::synth::{Speaker, wav_bytes};
use voxage_features::{Error, Pool, probe};
use voxage_shards::Row;
use voxage_transport::source::{Sources, root_uri};
use voxage_transport::testing::TestS3;

const RATE_HZ: u32 = 16_000;

fn voice(seed: u64, duration_s: f64) -> Vec<u8> {
    wav_bytes(&Speaker::new(seed, 40.0, Gender::Male).utter(0, duration_s, RATE_HZ), RATE_HZ)
}

/// Recordings as they are planned.
async fn planned(sources: &Sources, root: &str, paths: &[&str]) -> Vec<Recording> {
    let stats = sources.stats(root, paths).await.unwrap();
    let recording = |path: &&str| {
        let stat = stats.get(*path);
        Recording {
            id: (*path).to_owned(),
            path: (*path).to_owned(),
            size_bytes: stat.map(|stat| stat.size_bytes),
            etag: stat.map(|stat| stat.etag.clone()).unwrap_or_default(),
            ..Recording::default()
        }
    };
    paths.iter().map(recording).collect()
}

async fn rows(
    pool: &Arc<Pool>,
    spec: &FeatureSpec,
    root: &str,
    recordings: Vec<Recording>,
) -> Result<Vec<Row>, Error> {
    pool.extract(spec, root, recordings).try_collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_has_the_same_features_from_s3_as_from_a_file() {
    let s3 = TestS3::start().await;
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..6).map(|n| format!("{n}.wav")).collect();
    for (seed, name) in (0..).zip(&names) {
        std::fs::write(folder.path().join(name), voice(seed, 1.0)).unwrap();
        s3.put("audio", name, voice(seed, 1.0)).await.unwrap();
    }
    let paths: Vec<_> = names.iter().map(String::as_str).collect();
    let (spec, sources) = (FeatureSpec::default(), s3.sources(None));
    let pool = Pool::new(2, sources.clone());
    let mut found = Vec::new();
    for root in [s3.uri("audio"), root_uri(folder.path()).unwrap()] {
        let recordings = planned(&sources, &root, &paths).await;
        assert!(recordings.iter().all(|recording| recording.size_bytes.is_some()));
        let rows = rows(&pool, &spec, &root, recordings).await.unwrap();
        assert_eq!(rows.iter().map(|row| &*row.recording.id).collect::<Vec<_>>(), paths);
        found.push(rows.into_iter().map(|row| row.outcome.unwrap()).collect::<Vec<_>>());
    }
    assert_eq!(format!("{:?}", found[0]), format!("{:?}", found[1]));
    let probed = probe(&sources, &s3.uri("audio"), "0.wav").await.unwrap().unwrap();
    assert_eq!(probed.sample_rate_hz, RATE_HZ);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_an_object_is_a_reject() {
    let s3 = TestS3::start().await;
    s3.put("audio", "good.wav", voice(1, 1.0)).await.unwrap();
    s3.put("audio", "changed.wav", voice(2, 1.0)).await.unwrap();
    s3.put("audio", "deep/text.wav", "no audio at all").await.unwrap();
    s3.put("audio", "large.wav", vec![0; (1 << 20) + 1]).await.unwrap();
    let (root, sources) = (s3.uri("audio"), s3.sources(None));
    let paths = ["good.wav", "changed.wav", "gone.wav", "deep/text.wav", "large.wav"];
    let recordings = planned(&sources, &root, &paths).await;
    s3.put("audio", "changed.wav", voice(3, 1.0)).await.unwrap();
    let limits = Limits { mib: 1, ..Limits::default() };
    let spec = FeatureSpec { limits, ..FeatureSpec::default() };
    let rows = rows(&Pool::new(1, sources), &spec, &root, recordings).await.unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| row.outcome.as_ref().map_or_else(|reject| &*reject.code, |_| "ok"))
        .collect();
    assert_eq!(found, ["ok", "source_changed", "missing_audio", "unknown_format", "too_large"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audio_outside_the_allowed_roots_stops_the_task() {
    let s3 = TestS3::start().await;
    s3.put("audio", "good.wav", voice(1, 1.0)).await.unwrap();
    s3.put("other", "good.wav", voice(1, 1.0)).await.unwrap();
    let sources = s3.sources(Some(&[s3.uri("audio")]));
    let pool = Pool::new(1, sources);
    let recording = Recording { id: "a".into(), path: "good.wav".into(), ..Recording::default() };
    let spec = FeatureSpec::default();
    let allowed = rows(&pool, &spec, &s3.uri("audio"), vec![recording.clone()]).await.unwrap();
    assert!(allowed[0].outcome.is_ok());
    for root in [s3.uri("other"), "file:///".to_owned()] {
        let error = rows(&pool, &spec, &root, vec![recording.clone()]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Permanent, "{error}");
        let text = error.to_string();
        assert!(text.contains("audio_roots") && text.contains(&s3.uri("audio")), "{text}");
    }
}
