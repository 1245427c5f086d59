//! The four bytes that a frame begins with (ISO/IEC 11172-3 and 13818-3, with the extension to
//! the lowest sample rates that is called 2.5).
//!
//! It does not know how long a frame is: who cuts the file into frames does.

/// Sample rates of version 1; half of them in version 2, a quarter in version 2.5.
const RATES_HZ: [u32; 3] = [44_100, 48_000, 32_000];

/// What is the same for all of a frame.
pub(super) struct Header {
    /// Of version 2 or 2.5, whose frames are one granule.
    pub(super) is_low: bool,
    /// Which of nine sample rates: those of version 1, of 2, of 2.5.
    pub(super) rate: usize,
    pub(super) n_channels: usize,
    /// Spectra are those of the sum and the difference of two channels.
    pub(super) mid_side: bool,
    /// Above the second channel's last value, the first one's spectrum is that of both.
    pub(super) intensity: bool,
    /// Where the side information begins, and where it ends.
    pub(super) side: std::ops::Range<usize>,
}

impl Header {
    /// Of a frame of layer III; none if it is something else, or too short.
    pub(super) fn read(frame: &[u8]) -> Option<Self> {
        let word = u32::from_be_bytes(*frame.first_chunk()?);
        let field = |at: u32, n: u32| word >> at & ((1 << n) - 1);
        let (version, layer, rate, mode) = (field(19, 2), field(17, 2), field(10, 2), field(6, 2));
        if field(21, 11) != 0x7FF || version == 1 || layer != 1 || rate == 3 {
            return None;
        }
        let (is_low, n_channels) = (version != 3, if mode == 3 { 1 } else { 2 });
        let start = if field(16, 1) == 0 { 6 } else { 4 };
        let n_bytes = [[17, 32], [9, 17]][usize::from(is_low)][n_channels - 1];
        (frame.len() >= start + n_bytes).then_some(Self {
            is_low,
            rate: [6, 0, 3, 0][version as usize] + rate as usize,
            n_channels,
            mid_side: mode == 1 && field(5, 1) == 1,
            intensity: mode == 1 && field(4, 1) == 1,
            side: start..start + n_bytes,
        })
    }

    pub(super) fn rate_hz(&self) -> u32 {
        RATES_HZ[self.rate % 3] >> (self.rate / 3)
    }

    pub(super) fn n_granules(&self) -> usize {
        if self.is_low { 1 } else { 2 }
    }
}
