//! How each granule of a frame is coded: its side information, and its scale factors.
//!
//! Always holds: numbers that no frame can have are errors; none leads beyond a table.

use std::f32::consts::{FRAC_1_SQRT_2, PI};
use std::ops::Range;

use super::bands::{N_SCALES, Shape, bands};
use super::bits::Bits;
use super::header::Header;

/// Bits of a scale factor of version 1, in low bands and in high ones.
#[rustfmt::skip]
const SCALE_BITS: [[u32; 2]; 16] = [
    [0, 0], [0, 1], [0, 2], [0, 3], [3, 0], [1, 1], [1, 2], [1, 3],
    [2, 1], [2, 2], [2, 3], [3, 1], [3, 2], [3, 3], [4, 2], [4, 3],
];

/// Scale factors of long blocks that the second granule may take from the first.
const SHARED: [Range<usize>; 4] = [0..6, 6..11, 11..16, 16..21];

/// Of low versions: how many scale factors have each of four lengths, in long, short and mixed
/// blocks; the first three rows where they are positions.
const SCALE_COUNTS: [[[usize; 4]; 3]; 6] = [
    [[7, 7, 7, 0], [12, 12, 12, 0], [6, 15, 12, 0]],
    [[6, 6, 6, 3], [12, 9, 9, 6], [6, 12, 9, 6]],
    [[8, 8, 5, 0], [15, 12, 9, 0], [6, 18, 9, 0]],
    [[6, 5, 5, 5], [9, 9, 9, 9], [6, 9, 9, 9]],
    [[6, 5, 7, 3], [9, 9, 12, 6], [6, 9, 12, 6]],
    [[11, 10, 0, 0], [18, 18, 0, 0], [15, 18, 0, 0]],
];

/// What a frame says about its granules.
pub(super) struct Side {
    /// Bytes of the frames before that its main data begins with.
    pub(super) n_before: usize,
    /// Of each channel, which of [`SHARED`] the second granule takes from the first.
    shares: [[bool; 4]; 2],
    /// Of each granule its channels.
    pub(super) parts: [[Part; 2]; 2],
}

/// A channel of a granule.
pub(super) struct Part {
    /// Bits of its scale factors and its spectrum.
    pub(super) n_bits: usize,
    /// Where the three regions of paired values end, and their codes.
    pub(super) region_ends: [usize; 3],
    pub(super) codes: [u8; 3],
    /// Single values are coded by the second table.
    pub(super) second_quads: bool,
    pub(super) block: Block,
    pub(super) shape: Shape,
    /// In steps of a quarter octave, as all gains; that of each short transform beside it.
    pub(super) gain: i32,
    pub(super) window_gains: [i32; 3],
    /// Steps of a scale factor.
    pub(super) scale_step: i32,
    /// Scale factors of high bands have more, by a fixed table.
    pub(super) is_emphasised: bool,
    /// Which lengths scale factors have.
    scale_bits: u32,
    is_low: bool,
    pub(super) scales: [u8; N_SCALES],
    /// Of each scale factor the value, or more, that as a position of a source between two
    /// channels means none.
    pub(super) no_position: [u8; N_SCALES],
}

/// The window of the transforms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    Long,
    /// From long ones to short ones.
    Start,
    Short,
    Stop,
}

impl Side {
    pub(super) fn read(bytes: &[u8], header: &Header) -> Result<Self, &'static str> {
        let mut bits = Bits::new(bytes, 0);
        let is_mono = header.n_channels == 1;
        // Then come bits for private use.
        let (n_before_bits, n_private) = match (header.is_low, is_mono) {
            (false, _) => (9, if is_mono { 5 } else { 3 }),
            (true, _) => (8, header.n_channels as u32),
        };
        let n_before = bits.take(n_before_bits) as usize;
        bits.take(n_private);
        let mut side = Self {
            n_before,
            shares: [[false; 4]; 2],
            parts: std::array::from_fn(|_| std::array::from_fn(|_| Part::none())),
        };
        if !header.is_low {
            for shares in &mut side.shares[..header.n_channels] {
                *shares = [(); 4].map(|()| bits.flag());
            }
        }
        for granule in &mut side.parts[..header.n_granules()] {
            for part in &mut granule[..header.n_channels] {
                part.read(&mut bits, header)?;
            }
        }
        Ok(side)
    }

    /// Reads the scale factors of a part.
    pub(super) fn read_scales(
        &mut self,
        granule: usize,
        channel: usize,
        header: &Header,
        bits: &mut Bits<'_>,
    ) {
        let (first, later) = self.parts.split_at_mut(granule);
        let part = &mut later[0][channel];
        if header.is_low {
            part.read_low_scales(bits, header.intensity && channel == 1);
            return;
        }
        let [low, high] = SCALE_BITS[part.scale_bits as usize];
        if part.block == Block::Short {
            let n_low = if part.shape == Shape::Mixed { 17 } else { 18 };
            for (i, scale) in part.scales[..n_low + 18].iter_mut().enumerate() {
                *scale = bits.take(if i < n_low { low } else { high }) as u8;
            }
            return;
        }
        for (i, range) in SHARED.into_iter().enumerate() {
            match first.first().filter(|_| self.shares[channel][i]) {
                Some(first) => {
                    part.scales[range.clone()].copy_from_slice(&first[channel].scales[range]);
                }
                None => {
                    for scale in &mut part.scales[range] {
                        *scale = bits.take(if i < 2 { low } else { high }) as u8;
                    }
                }
            }
        }
    }
}

impl Part {
    pub(super) fn none() -> Self {
        Self {
            n_bits: 0,
            region_ends: [0; 3],
            codes: [0; 3],
            second_quads: false,
            block: Block::Long,
            shape: Shape::Long,
            gain: 0,
            window_gains: [0; 3],
            scale_step: 0,
            is_emphasised: false,
            scale_bits: 0,
            is_low: false,
            scales: [0; N_SCALES],
            no_position: [7; N_SCALES],
        }
    }

    fn read(&mut self, bits: &mut Bits<'_>, header: &Header) -> Result<(), &'static str> {
        self.is_low = header.is_low;
        self.n_bits = bits.take(12) as usize;
        let n_paired = 2 * bits.take(9) as usize;
        if n_paired > 576 {
            return Err("mp3: more values than a granule has");
        }
        self.gain = bits.take(8) as i32 - 210;
        self.scale_bits = bits.take(if header.is_low { 9 } else { 4 });
        let start = |shape, band: usize| {
            bands(header.rate, shape).get(band).map_or(576, |band| band.lines.start)
        };
        if bits.flag() {
            let (block, is_mixed) = (bits.take(2), bits.flag());
            (self.block, self.shape) = match block {
                1 => (Block::Start, Shape::Long),
                2 if is_mixed => (Block::Short, Shape::Mixed),
                2 => (Block::Short, Shape::Short),
                3 => (Block::Stop, Shape::Long),
                _ => return Err("mp3: a window that there is not"),
            };
            self.codes = [bits.take(5) as u8, bits.take(5) as u8, 0];
            self.window_gains = [(); 3].map(|()| -8 * bits.take(3) as i32);
            let is_short = self.block == Block::Short;
            let first = if is_short { start(Shape::Short, 9) } else { start(Shape::Long, 8) };
            self.region_ends = [first, 576, 576];
        } else {
            self.codes = [(); 3].map(|()| bits.take(5) as u8);
            let first = 1 + bits.take(4) as usize;
            let second = first + 1 + bits.take(3) as usize;
            self.region_ends = [start(Shape::Long, first), start(Shape::Long, second), 576];
        }
        self.region_ends = self.region_ends.map(|end| end.min(n_paired));
        self.is_emphasised = !header.is_low && bits.flag();
        self.scale_step = if bits.flag() { 4 } else { 2 };
        self.second_quads = bits.flag();
        Ok(())
    }

    fn read_low_scales(&mut self, bits: &mut Bits<'_>, are_positions: bool) {
        let n = self.scale_bits;
        let (row, n_bits) = match (are_positions, n / 2) {
            (true, n @ 0..180) => (0, [n / 36, n % 36 / 6, n % 6, 0]),
            (true, n @ 180..244) => (1, [(n - 180) / 16, (n - 180) % 16 / 4, n % 4, 0]),
            (true, n) => (2, [(n - 244) / 3, (n - 244) % 3, 0, 0]),
            (false, 0..200) => (3, [n / 80, n / 16 % 5, n % 16 / 4, n % 4]),
            (false, 200..250) => (4, [(n - 400) / 20, (n - 400) / 4 % 5, n % 4, 0]),
            (false, _) => (5, [(n - 500) / 3, (n - 500) % 3, 0, 0]),
        };
        self.is_emphasised = row == 5;
        let mut at = 0;
        for (n, n_bits) in SCALE_COUNTS[row][self.shape as usize].into_iter().zip(n_bits) {
            for i in at..at + n {
                self.scales[i] = bits.take(n_bits) as u8;
                if are_positions {
                    self.no_position[i] = (1 << n_bits) - 1;
                }
            }
            at += n;
        }
    }

    /// How loud the source of a band is left and right.
    pub(super) fn position(&self, band: usize) -> [f32; 2] {
        let position = i32::from(self.scales[band]);
        if self.is_low {
            let step = if self.scale_bits & 1 == 1 { FRAC_1_SQRT_2 } else { 0.840_896_4 };
            let quieter = step.powi((position + 1) / 2);
            if position % 2 == 1 { [quieter, 1.0] } else { [1.0, quieter] }
        } else {
            let (sin, cos) = (position as f32 * PI / 12.0).sin_cos();
            [sin, cos].map(|x| x / (sin + cos))
        }
    }
}
