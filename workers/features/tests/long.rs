//! Two hours of audio in the memory that is promised for a whole worker.

#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufWriter, Write};

use futures::TryStreamExt as _;
use voxage_contract::columns::TabularSet;
use voxage_contract::spec::{HOP_SAMPLES, SAMPLE_RATE_HZ};
use voxage_contract::{FeatureSpec, Gender, Mono, Recording};
use voxage_extract::synth::{Speaker, wav_bytes};
use voxage_features::Pool;
use voxage_shards::Row;
use voxage_transport::source;

const RATE_HZ: u32 = 16_000;
const MINUTES: u32 = 120;

/// What the whole process may have taken at most, in MiB.
const MOST_MIB: u64 = 400;

/// Runs in a process of its own, as nextest has it: the peak is of all that it ever did.
#[tokio::test]
async fn two_hours_are_extracted_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    write_minutes(File::create(folder.path().join("long.wav")).unwrap()).unwrap();
    let spec = FeatureSpec {
        mono: Mono::Auto,
        tabular: vec![TabularSet::Compat, TabularSet::Clean],
        ..FeatureSpec::default()
    };
    let recording =
        Recording { id: "long".into(), path: "long.wav".into(), ..Recording::default() };
    let root = source::root_uri(folder.path()).unwrap();
    let rows: Vec<Row> = Pool::new(1, source::Sources::any())
        .extract(&spec, &root, vec![recording])
        .try_collect()
        .await
        .unwrap();
    let shard = voxage_shards::encode("s", &spec, &rows).unwrap();
    assert!(!shard.is_empty());

    let features = rows[0].outcome.as_ref().unwrap();
    let duration_s = MINUTES * 60;
    assert_eq!(features.audio.duration_s, f64::from(duration_s));
    let n_samples = duration_s as usize * SAMPLE_RATE_HZ as usize;
    assert_eq!(features.mel.n_frames, 1 + n_samples / HOP_SAMPLES);
    assert!(
        features
            .tabular
            .iter()
            .zip(spec.columns())
            .all(|(value, c)| { value.is_some() || !c.from_audio || c.name == "words_per_s" })
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_mib = peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024;
    eprintln!("peak of {peak_mib} MiB");
    assert!(peak_mib < MOST_MIB, "{peak_mib} MiB");
}

/// A minute of speech with pauses, again and again.
fn write_minutes(file: File) -> std::io::Result<()> {
    let speaker = Speaker::new(1, 40.0, Gender::Female);
    let minute: Vec<f32> = (0..6)
        .flat_map(|i| {
            let mut tenth = speaker.utter(i, 9.0, RATE_HZ);
            tenth.resize(10 * RATE_HZ as usize, 0.0);
            tenth
        })
        .collect();
    let mut bytes = wav_bytes(&minute, RATE_HZ);
    let n_bytes = MINUTES * 60 * RATE_HZ * 2;
    bytes[4..8].copy_from_slice(&(36 + n_bytes).to_le_bytes());
    bytes[40..44].copy_from_slice(&n_bytes.to_le_bytes());
    let mut file = BufWriter::new(file);
    file.write_all(&bytes[..44])?;
    for _ in 0..MINUTES {
        file.write_all(&bytes[44..])?;
    }
    file.flush()
}
