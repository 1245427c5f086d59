//! Each change does what it says, and nothing else.

use super::*;
use tch::Device;

const FRAMES: i64 = 20;
const VALID: i64 = 12;
const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Images of which a cell holds its frame and its band, `0.5 + frame / 100 + band / 10,000`,
/// with silence beyond the 12 real frames.
fn inputs(n: i64) -> Tensors {
    let frame = Tensor::arange(FRAMES, OPTIONS).view([1, 1, -1, 1]) / 100.0;
    let band = Tensor::arange(128, OPTIONS).view([1, 1, 1, -1]) / 10_000.0;
    let real = Tensor::arange(FRAMES, OPTIONS).lt(VALID).view([1, 1, -1, 1]);
    let images = (frame + band + 0.5) * real;
    Tensors {
        images: images.expand([n, 1, FRAMES, 128], false).contiguous(),
        valid: Tensor::full([n], VALID, (Kind::Int64, Device::Cpu)),
        tables: Tensor::arange(n, OPTIONS).view([n, 1]),
    }
}

fn changed(n: i64, how: &Augment) -> (Tensors, Tensor) {
    tch::manual_seed(3);
    augment(&inputs(n), &(Tensor::arange(n, OPTIONS) * 10.0), how, 100.0)
}

fn images(n: i64, how: &Augment) -> Tensor {
    changed(n, how).0.images
}

fn largest(x: &Tensor) -> f64 {
    x.abs().max().double_value(&[])
}

/// The part beyond the real frames.
fn beyond(images: &Tensor) -> Tensor {
    images.narrow(2, VALID, FRAMES - VALID)
}

#[test]
fn nothing_is_changed_by_default() {
    let (after, targets) = changed(3, &Augment::default());
    assert_eq!(after.images, inputs(3).images);
    assert_eq!(Vec::<f32>::try_from(targets).unwrap(), [0.0, 10.0, 20.0]);
}

#[test]
fn masks_are_rows_of_frames_or_bands_at_the_mean() {
    let before = inputs(256).images;
    for (how, dimension, most) in [
        (Augment { masks: 1, time_mask: 4, ..Augment::default() }, 2, 4),
        (Augment { masks: 1, band_mask: 30, ..Augment::default() }, 3, 30),
    ] {
        let after = images(256, &how);
        let mean = before.narrow(2, 0, VALID).get(0).mean(Kind::Float).double_value(&[]);
        let mut lengths = Vec::new();
        for i in 0..256 {
            let different = (after.get(i) - before.get(i)).abs().gt(1e-6).get(0);
            // Frames or bands of which anything is masked.
            let rows = different.any_dim(2 - (dimension - 1), false);
            let rows: Vec<bool> = rows.try_into().unwrap();
            let masked: Vec<usize> = (0..rows.len()).filter(|&i| rows[i]).collect();
            lengths.push(masked.len());
            if let (Some(first), Some(last)) = (masked.first(), masked.last()) {
                assert_eq!(last - first + 1, masked.len());
                let part = after.get(i).narrow(dimension - 1, *first as i64, masked.len() as i64);
                let part = if dimension == 2 { part } else { part.narrow(1, 0, VALID) };
                assert!(largest(&(part - mean)) < 1e-5);
            }
        }
        // A band whose cells are all at the mean cannot be told from one that is not masked.
        assert!(lengths.iter().all(|&n| n <= most) && lengths.contains(&most), "{lengths:?}");
        assert_eq!(largest(&beyond(&after)), 0.0);
    }
}

#[test]
fn gain_moves_all_cells_alike_and_noise_each_for_itself() {
    let before = inputs(64).images;
    let change = |how: &Augment| {
        let after = images(64, how);
        assert_eq!(largest(&beyond(&after)), 0.0);
        (after - &before).narrow(2, 0, VALID).view([64, -1])
    };
    // 6 of 100 dB.
    let gain = change(&Augment { gain_db: 6.0, ..Augment::default() });
    assert!(largest(&gain) <= 0.06 + 1e-6 && largest(&gain) > 0.05);
    assert!(largest(&gain.std_dim(&[1_i64][..], false, false)) < 1e-6);
    assert!(gain.min().double_value(&[]) < -0.05);
    let noise = change(&Augment { noise_db: 3.0, ..Augment::default() });
    let deviation = noise.std(true).double_value(&[]);
    assert!((deviation - 0.03).abs() < 0.001, "{deviation}");
    // Never below silence.
    assert!(
        images(8, &Augment { noise_db: 300.0, ..Augment::default() }).min().double_value(&[])
            == 0.0
    );
}

#[test]
fn a_shift_moves_frames_and_knows_how_many_are_left() {
    let before = inputs(64).images;
    let (after, _) = changed(64, &Augment { shift: 3, ..Augment::default() });
    let mut seen = std::collections::BTreeSet::new();
    for i in 0..64 {
        let valid = after.valid.int64_value(&[i]);
        let by = valid - VALID;
        seen.insert(by);
        let (image, original) = (after.images.get(i), before.get(i));
        let n = FRAMES - by.abs();
        let moved = image.narrow(1, by.max(0), n);
        assert_eq!(moved, original.narrow(1, (-by).max(0), n));
        if by > 0 {
            assert_eq!(largest(&image.narrow(1, 0, by)), 0.0);
        }
        assert_eq!(largest(&image.narrow(1, valid, FRAMES - valid)), 0.0);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-3, -2, -1, 0, 1, 2, 3]);
}

#[test]
fn mixed_recordings_have_mixed_ages() {
    let (after, targets) = changed(8, &Augment { mixup: 0.4, ..Augment::default() });
    // Tables hold 0 to 7, ages ten times as much: all are mixed alike.
    assert!(largest(&(after.tables.view(-1) * 10.0 - &targets)) < 1e-4);
    assert!(largest(&(targets - Tensor::arange(8, OPTIONS) * 10.0)) > 0.1);
    // The images were all the same.
    assert!(largest(&(after.images - inputs(8).images)) < 1e-6);
}
