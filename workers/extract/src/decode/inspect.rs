//! Samples that are no numbers.

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;

/// Greatest magnitude that is taken for sound: 120 dB above full scale.
const MOST: f32 = 1e6;

/// Sets samples that are no numbers, or beyond all measure, to 0; whether there were any.
pub(super) fn clean(channel: &mut [f32]) -> bool {
    let any = is_any_odd(channel);
    if any {
        for x in channel.iter_mut().filter(|x| is_odd(**x)) {
            *x = 0.0;
        }
    }
    any
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
    fn no_number_becomes_zero() {
        let mut channel = [0.5, f32::NAN, f32::INFINITY, -1e30, -0.5];
        assert!(clean(&mut channel));
        assert_eq!(channel, [0.5, 0.0, 0.0, 0.0, -0.5]);
        assert!(!clean(&mut channel));
    }
}
