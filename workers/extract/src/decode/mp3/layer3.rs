//! MPEG audio, layer III, versions 1, 2 and 2.5 (ISO/IEC 11172-3 and 13818-3): from a frame to
//! its samples.
//!
//! Always holds: a frame gives all of its samples or is an error; of what it lacks because
//! frames before it are missing there is silence.
//! It does not know of free bit rates, checksums, or where frames begin.

use super::bits::Bits;
use super::filterbank::Filterbank;
use super::header::Header;
use super::side::Side;
use super::spectrum::{self, Lines};

/// Samples of a granule.
pub(super) const N_SAMPLES: usize = 576;

/// Decodes frame after frame.
pub(super) struct Layer3 {
    /// Main data that frames have left, then that of the newest.
    main: Vec<u8>,
    /// Of each granule the spectra of its channels, and how many lines they have.
    spectra: [[(Lines, usize); 2]; 2],
    filterbanks: [Filterbank; 2],
}

impl Layer3 {
    pub(super) fn new() -> Self {
        Self {
            main: Vec::new(),
            spectra: [[([0.0; N_SAMPLES], 0); 2]; 2],
            filterbanks: [(); 2].map(|()| Filterbank::new()),
        }
    }

    /// Decodes a frame into as many samples of each of its channels as it has.
    pub(super) fn decode(
        &mut self,
        header: &Header,
        frame: &[u8],
        out: &mut [&mut [f32]],
    ) -> Result<(), &'static str> {
        // What a broken frame leaves leads astray.
        let side = self.read(header, frame).inspect_err(|_| self.main.clear())?;
        for (granule, spectra) in self.spectra[..header.n_granules()].iter_mut().enumerate() {
            let parts = &side.parts[granule];
            if header.mid_side || header.intensity {
                let [(a, n_a), (b, n_b)] = spectra;
                *n_a = (*n_a).max(*n_b);
                *n_b = *n_a;
                spectrum::unjoin(header, &parts[1], *n_a, [a, b]);
            }
            for (channel, out) in out.iter_mut().enumerate() {
                let ((lines, n), part) = (&mut spectra[channel], &parts[channel]);
                spectrum::finish(part, header.rate, *n, lines);
                let out = &mut out.as_chunks_mut().0[granule];
                self.filterbanks[channel].push(lines, part, out);
            }
        }
        Ok(())
    }

    /// Reads the spectra of a frame.
    fn read(&mut self, header: &Header, frame: &[u8]) -> Result<Side, &'static str> {
        let mut side = Side::read(&frame[header.side.clone()], header)?;
        let n_left = side.n_before.min(self.main.len());
        let n_missing = 8 * (side.n_before - n_left);
        self.main.drain(..self.main.len() - n_left);
        self.main.extend(&frame[header.side.end..]);
        // Counted from where they would be if nothing were missing.
        let (mut at, n_bits) = (0, n_missing + 8 * self.main.len());
        for granule in 0..header.n_granules() {
            let is_missing = at < n_missing;
            for channel in 0..header.n_channels {
                let (lines, n) = &mut self.spectra[granule][channel];
                let end = at + side.parts[granule][channel].n_bits;
                if is_missing {
                    (*lines, *n) = ([0.0; N_SAMPLES], 0);
                } else if end > n_bits {
                    return Err("mp3: a granule longer than its frame");
                } else {
                    let (mut bits, end) = (Bits::new(&self.main, at - n_missing), end - n_missing);
                    side.read_scales(granule, channel, header, &mut bits);
                    if bits.at() > end {
                        return Err("mp3: scale factors longer than their granule");
                    }
                    let part = &side.parts[granule][channel];
                    *n = spectrum::read(&mut bits, end, part, header.rate, lines);
                }
                at = end;
            }
        }
        let n_read = at.saturating_sub(n_missing).div_ceil(8);
        self.main.drain(..n_read.min(self.main.len()));
        Ok(side)
    }
}
