//! Writes a recording's samples to standard output: `decode FILE`, 32-bit floats, interleaved.
//! For tests/oracle/parity.py.

use std::error::Error;
use std::fs::File;
use std::io::Write;

use voxage_contract::Limits;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("decode FILE")?;
    let channels = voxage_extract::samples(File::open(file)?, &Limits::default())
        .map_err(|reject| reject.message)?;
    let moments = 0..channels[0].len();
    let samples = moments.flat_map(|i| channels.iter().map(move |channel| channel[i]));
    std::io::stdout().write_all(&samples.flat_map(f32::to_le_bytes).collect::<Vec<_>>())?;
    Ok(())
}
