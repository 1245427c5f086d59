//! Samples that are no numbers, or none that sound has.

use std::ops::BitOrAssign;

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;

/// Greatest magnitude that is taken for sound: 120 dB above full scale.
const MOST: f32 = 1e6;

/// What was odd about samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Odd {
    /// Some are no numbers, or infinite.
    pub(super) non_finite: bool,
    /// Some are numbers beyond all measure.
    pub(super) boundless: bool,
}

impl BitOrAssign for Odd {
    fn bitor_assign(&mut self, more: Self) {
        self.non_finite |= more.non_finite;
        self.boundless |= more.boundless;
    }
}

/// Sets samples that are no numbers, or beyond all measure, to 0; whether there were any.
pub(super) fn clean(channel: &mut [f32]) -> Odd {
    let mut odd = Odd::default();
    if is_any_odd(channel) {
        for x in channel.iter_mut().filter(|x| is_odd(**x)) {
            odd |= Odd { non_finite: !x.is_finite(), boundless: x.is_finite() };
            *x = 0.0;
        }
    }
    odd
}

#[inline(always)]
fn is_odd(x: f32) -> bool {
    x.is_nan() || x.abs() > MOST
}

#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn is_any_odd(channel: &[f32]) -> bool {
    channel.iter().fold(false, |any, &x| any | is_odd(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_samples_become_zero() {
        let (none, both) = (Odd::default(), Odd { non_finite: true, boundless: true });
        for (odd_samples, expected) in [
            (&[f32::NAN][..], Odd { non_finite: true, ..none }),
            (&[f32::NEG_INFINITY], Odd { non_finite: true, ..none }),
            (&[-1e30], Odd { boundless: true, ..none }),
            (&[f32::MAX, f32::INFINITY], both),
            (&[MOST], none),
        ] {
            let mut channel = [&[0.5, -0.5], odd_samples].concat();
            assert_eq!(clean(&mut channel), expected, "{odd_samples:?}");
            assert!(expected == none || channel[2..].iter().all(|&x| x == 0.0));
            assert_eq!(channel[..2], [0.5, -0.5]);
            assert_eq!(clean(&mut channel), none);
        }
    }
}
