//! `voxage extract`: the features of single files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgAction, Command, value_parser};
use futures::StreamExt as _;
use serde::Serialize;
use voxage_contract::{FeatureSpec, Mel, MelStorage, N_MELS, Recording, Reject};
use voxage_features::Pool;
use voxage_shards::Row;
use voxage_transport::source::Sources;

use crate::settings::Keys;
use crate::{Call, output};

pub const KEYS: Keys = &["slots", "spec"];

pub fn command() -> Command {
    Command::new("extract")
        .about("Print the features of audio files")
        .after_help("A file that cannot be extracted is reported as rejected; the exit code stays 0.")
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .required(true)
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .help("Audio files, told by content: WAV (also RF64, Wave64), AU, AIFF, CAF, FLAC, MP3, AAC/M4A, Vorbis or Opus (Ogg, WebM)"),
        )
        .arg(
            Arg::new("mel-npy")
                .long("mel-npy")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Write each spectrogram to DIR/<file stem>.npy: float32 [n_frames, 128] in dB; a file of that name is replaced"),
        )
}

#[derive(Serialize)]
struct Answer {
    recordings: Vec<Extracted>,
}

#[derive(Serialize)]
struct Extracted {
    path: String,
    status: &'static str,
    stage: Option<String>,
    code: Option<String>,
    message: Option<String>,
    warnings: Vec<String>,
    codec: Option<String>,
    sample_rate_hz: Option<u32>,
    channels: Option<u16>,
    duration_s: Option<f64>,
    mix: Option<String>,
    n_frames: Option<usize>,
    tabular: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Vec<f32>>,
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let settings = &call.resolved.settings;
    let files: Vec<_> = call.matches.get_many::<PathBuf>("files").into_iter().flatten().collect();
    let npy = call.matches.get_one::<PathBuf>("mel-npy");
    settings.need_weights()?;
    let mut spec = settings.spec.clone();
    if let Some(folder) = npy {
        // The file holds the spectrogram as computed, not as a shard would store it.
        spec.mel.storage = MelStorage::F32;
        refuse_same_stems(&files)?;
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let recordings = files.iter().map(|file| recording(file)).collect::<Result<_>>()?;
    let mut rows = std::pin::pin!(
        Pool::new(settings.slots, Sources::any()).extract(&spec, "file:///", recordings)
    );
    let mut answer = Answer { recordings: Vec::new() };
    for file in files {
        let row = match rows.next().await.context("extraction ended early")? {
            Ok(row) => row,
            Err(error) => Row {
                recording: Recording::default(),
                outcome: Err(Reject::new("fetch", "unreadable_audio", error.to_string())),
            },
        };
        if let (Some(folder), Ok(features)) = (npy, &row.outcome) {
            let stem = file.file_stem().unwrap_or_default();
            let path = folder.join(format!("{}.npy", stem.display()));
            output::write_file(&path, |file| {
                Ok(std::io::Write::write_all(file, &npy_bytes(&features.mel))?)
            })?;
        }
        answer.recordings.push(extracted(file, &row, &spec));
    }
    call.output.answer(&answer, || answer.recordings.iter().map(text).collect())?;
    Ok(ExitCode::SUCCESS)
}

/// Two files of one stem would write one spectrogram over the other.
fn refuse_same_stems(files: &[&PathBuf]) -> Result<()> {
    let mut stems: Vec<_> = files.iter().map(|file| file.file_stem()).collect();
    stems.sort();
    match stems.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => bail!(
            "two files would write {}.npy: give each call its own folder",
            pair[0].unwrap_or_default().display()
        ),
        None => Ok(()),
    }
}

/// A file of the command line, wherever it is.
pub fn recording(file: &Path) -> Result<Recording> {
    let absolute = std::path::absolute(file)?;
    let path = absolute.to_str().with_context(|| format!("{} is no text", file.display()))?;
    let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Recording { id, path: path.trim_start_matches('/').to_owned(), ..Recording::default() })
}

fn extracted(file: &Path, row: &Row, spec: &FeatureSpec) -> Extracted {
    let features = row.outcome.as_ref().ok();
    let reject = row.outcome.as_ref().err();
    let audio = features.map(|features| &features.audio);
    let columns = features.into_iter().flat_map(|f| spec.columns().zip(&f.tabular));
    Extracted {
        path: file.display().to_string(),
        status: row.status(),
        stage: reject.map(|reject| reject.stage.clone()),
        code: reject
            .map(|reject| reject.code.clone())
            .or_else(|| row.warnings().next().map(str::to_owned)),
        message: reject.map(|reject| reject.message.clone()),
        warnings: row.warnings().map(str::to_owned).collect(),
        codec: audio.map(|audio| audio.codec.clone()),
        sample_rate_hz: audio.map(|audio| audio.sample_rate_hz),
        channels: audio.map(|audio| audio.channels),
        duration_s: audio.map(|audio| audio.duration_s),
        mix: audio.map(|audio| audio.mix.clone()),
        n_frames: features.map(|features| features.mel.n_frames),
        tabular: columns.map(|(column, value)| (column.name.to_owned(), (*value).into())).collect(),
        embedding: features.and_then(|features| features.embedding.clone()),
    }
}

fn text(extracted: &Extracted) -> String {
    let Extracted { path, status, message, .. } = extracted;
    let mut text = format!("{path}: {status}");
    if let Some(message) = message {
        return text
            + &format!(" ({}): {message}\n", extracted.code.as_deref().unwrap_or_default());
    }
    if !extracted.warnings.is_empty() {
        text += &format!(" ({})", extracted.warnings.join(", "));
    }
    text += &format!(
        "\n  {} {} Hz, {} channels ({}), {:.3} s, {} frames\n",
        extracted.codec.as_deref().unwrap_or_default(),
        extracted.sample_rate_hz.unwrap_or_default(),
        extracted.channels.unwrap_or_default(),
        extracted.mix.as_deref().unwrap_or_default(),
        extracted.duration_s.unwrap_or_default(),
        extracted.n_frames.unwrap_or_default(),
    );
    for (column, value) in &extracted.tabular {
        text += &format!("  {column:24} {value}\n");
    }
    text
}

/// NumPy's format 1.0: float32 `[n_frames, 128]`, C order.
fn npy_bytes(mel: &Mel) -> Vec<u8> {
    let shape = format!("({}, {N_MELS})", mel.n_frames);
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    // Magic, version, length and header fill a multiple of 64 bytes, ending in a line end.
    let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded as u16).to_le_bytes());
    bytes.extend(format!("{header:width$}\n", width = padded - 1).bytes());
    bytes.extend(mel.to_db().iter().flat_map(|cell| cell.to_le_bytes()));
    bytes
}
