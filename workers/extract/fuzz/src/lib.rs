//! What both targets share: which panics count, an extraction of bytes in memory, and
//! changes to files that get past their checksums.
//!
//! Always holds: a panic of voxage's own code ends the process even where it would be
//! caught, one of a decoder is a reject as in production.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::panic;

use voxage_contract::columns::TabularSet;
use voxage_contract::{FeatureSpec, Features, Mono};
use voxage_extract::Extractor;

/// Takes the place of libFuzzer's hook, for which every panic is a crash, even one in
/// symphonia that `decode` turns into a reject.
pub fn judge_panics() {
    panic::set_hook(Box::new(|info| {
        let file = info.location().map_or("", |location| location.file());
        let is_foreign =
            ["/registry/src/", "/rustc/", "/rustlib/"].iter().any(|at| file.contains(at));
        if !is_foreign {
            eprintln!("{info}");
            std::process::abort();
        }
    }));
}

/// Panics if a feature is no number, or if the file is taken for a disk that fails.
pub fn extract(extractor: &mut Extractor, bytes: &[u8]) -> Option<Features> {
    let features = match extractor.extract(Cursor::new(bytes.to_vec()), &BTreeMap::new()) {
        Ok(features) => features,
        Err(reject) => {
            assert_ne!(reject.stage, "fetch", "{reject:?}");
            return None;
        }
    };
    assert!(features.tabular.iter().flatten().all(|x| x.is_finite()), "{features:?}");
    assert!(features.mel.to_db().iter().all(|x| x.is_finite()), "a cell of the spectrogram");
    Some(features)
}

/// An extractor of the spectrogram only, which all decoded samples still go through.
pub fn plain() -> Extractor {
    of(&FeatureSpec { tabular: Vec::new(), ..FeatureSpec::default() })
}

/// An extractor of all features that need no weights, of channels that are listened to.
pub fn whole() -> Extractor {
    let tabular = vec![TabularSet::Compat, TabularSet::Clean];
    of(&FeatureSpec { tabular, mono: Mono::Auto, ..FeatureSpec::default() })
}

fn of(spec: &FeatureSpec) -> Extractor {
    Extractor::new(spec).expect("it has no embedding")
}

/// Makes the checksums of Ogg pages right: nothing behind a wrong one is looked at.
pub fn mend_ogg(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(4).position(|window| window == b"OggS") {
        at += found;
        let Some(&n_segments) = bytes.get(at + 26) else { return };
        let n_header = 27 + usize::from(n_segments);
        let Some(segments) = bytes.get(at + 27..at + n_header) else { return };
        let n_bytes: usize = segments.iter().map(|&n| usize::from(n)).sum();
        let Some(page) = bytes[at..].get_mut(..n_header + n_bytes) else { return };
        page[22..26].fill(0);
        let crc = page.iter().fold(0u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
                crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
            })
        });
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        at += page.len();
    }
}
