//! A spectrogram as a small grey picture within a page.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use voxage_contract::{MelView, N_MELS};
use voxage_shards::{Mels, Shard};

/// Pixels across, at most, and up.
const COLUMNS: usize = 320;
const ROWS: usize = 64;

/// From the loudest down to black.
const RANGE_DB: f32 = 70.0;

/// The spectrogram of one row of a shard as the URI of a PNG picture; none if it has no
/// frames.
pub(crate) fn picture(shard: Bytes, row: usize) -> Result<Option<String>, voxage_shards::Error> {
    let shard = Shard::open(shard)?;
    let table = Arc::new(shard.samples(None)?);
    let mels = Mels::find(&shard, &table, &[row])?;
    Ok(drawn(table.sample_with(row, &mels, 0, &mut BytesMut::new())?.mel()))
}

/// Draws a spectrogram: time from left to right, low bands at the bottom.
fn drawn(mel: MelView<'_>) -> Option<String> {
    let db = mel.to_db();
    let columns = mel.n_frames.min(COLUMNS);
    let loudest = db.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let bands = N_MELS / ROWS;
    let mut grey = Vec::with_capacity(columns * ROWS);
    for row in (0..ROWS).rev() {
        for column in 0..columns {
            let frames = column * mel.n_frames / columns..(column + 1) * mel.n_frames / columns;
            let n = (frames.len() * bands) as f32;
            let cells = frames.flat_map(|frame| &db[frame * N_MELS + row * bands..][..bands]);
            let mean = cells.sum::<f32>() / n;
            // A cast saturates: what is quieter is black.
            grey.push((255.0 * (1.0 + (mean - loudest) / RANGE_DB)) as u8);
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, columns as u32, ROWS as u32);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&grey).ok()?;
    writer.finish().ok()?;
    Some(format!("data:image/png;base64,{}", STANDARD.encode(file)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::{Mel, MelStorage};

    #[test]
    fn a_picture_has_time_across_and_bands_up() {
        // Two frames: the first loud in the lowest bands, the second in the highest.
        let mut db = vec![-80.0; 2 * N_MELS];
        db[..2].fill(0.0);
        db[2 * N_MELS - 2..].fill(0.0);
        let uri = drawn(Mel::encode(&db, MelStorage::F32).view()).unwrap();
        let file = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; 2 * ROWS];
        reader.next_frame(&mut pixels).unwrap();
        let lit: Vec<_> = (0..pixels.len()).filter(|&i| pixels[i] > 0).collect();
        assert_eq!(lit, [1, 2 * ROWS - 2]);
        assert_eq!(drawn(Mel::encode(&[], MelStorage::U8).view()), None);
    }
}
