//! `voxage synth`: a small data set of synthetic voices, to try voxage with.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Arg, Command, value_parser};
use serde_json::json;
use voxage_contract::Gender;
use voxage_extract::synth::{Speaker, wav_bytes};

use crate::misuse::within;
use crate::settings::Keys;
use crate::{Call, output};

pub const KEYS: Keys = &[];

/// Recordings of one speaker.
const TAKES: u64 = 2;

const RATE_HZ: u32 = 16_000;

pub fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").default_value(default).help(help)
    };
    Command::new("synth")
        .about("Synthesise voices of all ages, with a manifest, to try voxage with")
        .after_help("The same numbers give the same bytes. What is there already is left alone.")
        .arg(
            Arg::new("folder")
                .value_name("DIR")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Where recordings.csv and audio/ go"),
        )
        .arg(
            number("recordings", "200", "Recordings, two of each speaker")
                .value_parser(value_parser!(u64).range(1..)),
        )
        .arg(number("seconds", "2.5", "Length of a recording").value_parser(within(0.0..=3600.0)))
        .arg(number("seed", "1", "Names the set of speakers").value_parser(value_parser!(u64)))
}

pub async fn run(call: Call) -> Result<ExitCode> {
    let get = |name| call.matches.get_one::<u64>(name).copied().unwrap_or_default();
    let folder = call.matches.get_one::<PathBuf>("folder").context("no folder")?;
    let seconds = call.matches.get_one::<f64>("seconds").copied().unwrap_or_default();
    let (recordings, seed) = (get("recordings"), get("seed"));
    std::fs::create_dir_all(folder.join("audio")).with_context(|| folder.display().to_string())?;
    let mut table = "id,path,age,gender,speaker\n".to_owned();
    for i in 0..recordings {
        let (number, take) = (i / TAKES, i % TAKES);
        // A low-discrepancy sequence: any number of speakers covers all ages.
        let age = (18.0 + 62.0 * (number as f64 * 0.618_033_988_749_895 + 0.5).fract()).round();
        let gender = if number % 2 == 0 { Gender::Female } else { Gender::Male };
        let speaker = Speaker::new(seed << 32 | number, age, gender);
        let samples = speaker.utter(take, seconds, RATE_HZ);
        let path = format!("audio/v{number:04}-{take}.wav");
        keep_or_write(&folder.join(&path), &wav_bytes(&samples, RATE_HZ))?;
        let gender = gender.text().unwrap_or_default();
        writeln!(table, "v{number:04}-{take},{path},{age},{gender},v{number:04}")?;
    }
    let manifest = folder.join("recordings.csv");
    keep_or_write(&manifest, table.as_bytes())?;
    let answer = json!({ "manifest": manifest, "recordings": recordings, "audio_s": recordings as f64 * seconds });
    call.output
        .answer(&answer, || format!("{recordings} recordings, listed in {}", manifest.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A file that is written anew looks like another recording: one with these bytes stays.
fn keep_or_write(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    output::write_file(path, |file| Ok(file.write_all(bytes)?))
}
