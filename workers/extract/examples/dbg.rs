//! x
fn main() {
    print!("{}", voxage_extract::debug_praat(&std::env::args().nth(1).unwrap()));
}
