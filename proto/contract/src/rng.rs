//! A small random generator whose numbers never change between versions.

/// `SplitMix64` (Steele, Lea and Flood 2014): 64 bits of state, equidistributed.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator; each part of the seed opens another sequence.
    #[must_use]
    pub fn new(seed: &[u64]) -> Self {
        let mix = |state: u64, part: &u64| Self(state ^ part).next();
        Self(seed.iter().fold(0x766F_7861_6765, mix))
    }

    /// 64 random bits.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `0..n`, each as likely (Lemire's multiplication); 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Puts items into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_pinned() {
        // A changed sequence would reorder every training that is resumed.
        let mut rng = Rng::new(&[1, 2]);
        assert_eq!([rng.below(1000), rng.below(1000), rng.below(1000)], [674, 486, 143]);
    }

    #[test]
    fn a_shuffle_keeps_everything_and_spreads_it() {
        let mut firsts = [0; 8];
        for seed in 0..8000 {
            let mut items: Vec<usize> = (0..8).collect();
            Rng::new(&[seed]).shuffle(&mut items);
            firsts[items[0]] += 1;
            items.sort_unstable();
            assert_eq!(items, (0..8).collect::<Vec<_>>());
        }
        assert!(firsts.iter().all(|&n| (850..1150).contains(&n)), "{firsts:?}");
    }
}
