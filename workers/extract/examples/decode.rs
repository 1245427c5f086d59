//! Writes a file's samples to standard output as symphonia decodes them: `decode FILE`,
//! 32-bit floats, interleaved. For tests/oracle/parity.py.

#[path = "../tests/common/decode.rs"]
mod decode;

use std::error::Error;
use std::io::Write;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args_os().nth(1).ok_or("decode FILE")?;
    let samples = decode::interleaved(std::fs::read(file)?)?;
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::io::stdout().write_all(&bytes)?;
    Ok(())
}
