//! Prints how far the computed columns are from those of a manifest, as a Markdown table:
//! `cargo run --release -p voxage-extract --example compat_agreement -- DATA/polito/development.csv`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::error::Error;
use std::path::PathBuf;

use common::agreement::{Kind, Row, agreement};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = PathBuf::from(std::env::args_os().nth(1).ok_or("give a manifest")?);
    let rows = agreement(&manifest)?;
    let of = |kind: Kind| rows.iter().filter(move |row| row.kind == kind);
    let n = |kind: Kind| of(kind).next().map_or(0, |row| row.errors.len());
    println!("Relative errors over {} WAV and {} MP3 files:\n", n(Kind::Wav), n(Kind::Mp3));
    println!("| column | WAV: median | largest | MP3: median | largest |");
    println!("|---|---|---|---|---|");
    for wav in of(Kind::Wav) {
        let numbers = |row: &Row| format!("{:.1e} | {:.1e}", row.median(), row.max());
        let mp3 = of(Kind::Mp3).find(|row| row.column == wav.column);
        let mp3 = mp3.map_or_else(|| "- | -".into(), numbers);
        println!("| {} | {} | {mp3} |", wav.column, numbers(wav));
    }
    Ok(())
}
