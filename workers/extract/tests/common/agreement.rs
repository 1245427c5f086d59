//! How far computed columns are from those that a manifest brought with it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::Path;

use voxage_contract::FeatureSpec;
use voxage_extract::Extractor;

use super::relative_error;

/// What a recording is coded as; decoders of MP3 differ from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Wav,
    Mp3,
}

/// The errors of one column over the recordings of one kind.
#[derive(Debug)]
pub struct Row {
    pub column: &'static str,
    pub kind: Kind,
    /// Relative errors, in increasing order.
    pub errors: Vec<f64>,
}

impl Row {
    pub fn max(&self) -> f64 {
        self.errors.last().copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.errors.get(self.errors.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Extracts all recordings of a manifest and compares the columns that follow from audio.
/// A value that only one side knows is an error of infinity.
pub fn agreement(manifest: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let root = manifest.parent().ok_or("the manifest has no folder")?;
    let spec = FeatureSpec::default();
    let mut extractor = Extractor::new(&spec)?;
    let mut errors = BTreeMap::<(usize, Kind), Vec<f64>>::new();
    for row in csv::Reader::from_path(manifest)?.deserialize::<BTreeMap<String, String>>() {
        let row = row?;
        let audio = File::open(root.join(&row["path"]))?;
        let features =
            extractor.extract(audio, &BTreeMap::new()).map_err(|reject| reject.message)?;
        let kind = if features.audio.codec == "mp3" { Kind::Mp3 } else { Kind::Wav };
        for (i, (column, found)) in spec.columns().zip(&features.tabular).enumerate() {
            if column.from_audio {
                let published = row[column.name].trim_matches(['[', ']']).parse::<f64>()?;
                let error = found.map_or(f64::INFINITY, |found| relative_error(found, published));
                errors.entry((i, kind)).or_default().push(error);
            }
        }
    }
    let names: Vec<_> = spec.columns().map(|column| column.name).collect();
    let rows = errors.into_iter().map(|((i, kind), mut errors)| {
        errors.sort_by(f64::total_cmp);
        Row { column: names[i], kind, errors }
    });
    Ok(rows.collect())
}
