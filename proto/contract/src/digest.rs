//! Digests that name things: 128 bits of SHA-256 in hex.
//!
//! Always holds: every part is written with its length, so no two lists of parts
//! give the same bytes to hash.

use sha2::{Digest as _, Sha256};

/// Hashes length-prefixed parts into a name.
#[derive(Debug, Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// A digest for one purpose; `domain` keeps the purposes apart.
    #[must_use]
    pub fn new(domain: &str) -> Self {
        Self::default().part(domain.as_bytes())
    }

    /// Adds one part.
    #[must_use]
    pub fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The name: 32 hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> String {
        hex(&self.0.finalize()[..16])
    }
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_be_shifted_into_each_other() {
        let digest = |parts: [&str; 2]| {
            Digest::new("t").part(parts[0].as_bytes()).part(parts[1].as_bytes()).hex()
        };
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_eq!(digest(["ab", "c"]).len(), 32);
    }
}
