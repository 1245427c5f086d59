//! x
use std::io::Write;
fn main() { let y = voxage_extract::debug_resample(&std::env::args().nth(1).unwrap()); let b: Vec<u8> = y.iter().flat_map(|x| x.to_le_bytes()).collect(); std::io::stdout().write_all(&b).unwrap(); }
