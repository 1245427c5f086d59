//! What samples show about how they were recorded.

use crate::lanes;

/// Greatest magnitude that is taken for sound: 120 dB above full scale.
const MOST: f32 = 1e6;

/// Sets samples that are no numbers, or beyond all measure, to 0; whether there were any.
pub(super) fn clean(channel: &mut [f32]) -> bool {
    let is_odd = |x: f32| x.is_nan() || x.abs() > MOST;
    let any = channel.iter().fold(false, |any, &x| any | is_odd(x));
    if any {
        for x in channel.iter_mut().filter(|x| is_odd(**x)) {
            *x = 0.0;
        }
    }
    any
}

/// Whether a microphone or converter cut the peaks off: at least one sample in a thousand
/// stands in a run of three or more at the channel's greatest magnitude, and that is at
/// least half of full scale (quiet 8-bit sound has flat tops by nature).
pub(super) fn is_clipped(channel: &[f32]) -> bool {
    let peak = lanes::peak(channel);
    let is_top = |x: f32| x.abs() >= 0.999 * peak;
    let n_top: usize = channel.iter().map(|&x| usize::from(is_top(x))).sum();
    if peak < 0.5 || n_top * 1000 < channel.len() {
        return false;
    }
    let runs = channel.chunk_by(|&a, &b| is_top(a) == is_top(b));
    let flat: usize = runs.filter(|run| is_top(run[0]) && run.len() >= 3).map(<[f32]>::len).sum();
    flat * 1000 >= channel.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cut_off_peaks_are_clipped() {
        let sine = |gain: f32| -> Vec<f32> {
            (0..4000).map(|i| (gain * (i as f32 * 0.05).sin()).clamp(-1.0, 1.0)).collect()
        };
        assert!(!is_clipped(&sine(0.99)));
        assert!(is_clipped(&sine(2.0)));
        assert!(!is_clipped(&sine(2.0).iter().map(|x| x * 0.4).collect::<Vec<_>>()));
        assert!(!is_clipped(&[0.0; 100]));
    }

    #[test]
    fn no_number_becomes_zero() {
        let mut channel = [0.5, f32::NAN, f32::INFINITY, -1e30, -0.5];
        assert!(clean(&mut channel));
        assert_eq!(channel, [0.5, 0.0, 0.0, 0.0, -0.5]);
        assert!(!clean(&mut channel));
    }
}
