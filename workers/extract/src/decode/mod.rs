//! From the bytes of a recording to its samples, whatever the format and file name.
//!
//! A recording is decoded once to survey it; short ones are then held in memory, long ones
//! are decoded again each time that they are played, so that memory does not grow with
//! their length.
//!
//! Always holds: all channels have the same number of finite samples, at least one; what
//! was odd about the file is a warning, what makes it useless a reject; a panic in a
//! decoder is the fault of that one file.
//! It does not know what the samples are for.

mod au;
mod codec;
mod cut;
mod ends;
mod ima;
mod inspect;
mod mp3;
mod mp4;
mod ogg;
mod opus;
mod own;
mod pcm;
mod reject;
mod source;
mod splice;
mod stream;
mod survey;
#[cfg(test)]
mod tests;
mod wav;
mod webm;

use std::io::{Read, Seek};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use voxage_contract::{AudioInfo, Limits, Reject, Warning};

use reject::{corrupt, fetch, too_long, too_slow, unsupported_channels};
use source::{Failure, Source};
use stream::Stream;

pub(crate) use survey::{Heard, Survey};

/// Samples of all channels together that are held in memory: 48 MiB.
const MOST_HELD: usize = 12 << 20;

/// Samples of a channel that are played at a time.
const BLOCK: usize = 1 << 14;

/// A recording that was read through once.
pub(crate) struct Recording<R> {
    pub(crate) info: AudioInfo,
    /// The samples of the recording itself, without what an encoder put around them.
    pub(crate) range: Range<usize>,
    /// Those that Praat takes for the recording.
    pub(crate) praat: Range<usize>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) survey: Survey,
    n_decoded: usize,
    samples: Samples<R>,
    deadline: Deadline,
}

enum Samples<R> {
    /// All samples of each channel.
    Held(Vec<Vec<f32>>),
    /// To be decoded each time.
    Source(Source<R>),
}

/// When a recording has taken too long.
struct Deadline {
    started: Instant,
    limit: Duration,
}

impl Deadline {
    fn check(&self) -> Result<(), Reject> {
        if self.started.elapsed() > self.limit { Err(too_slow(self.limit)) } else { Ok(()) }
    }
}

impl<R: Read + Seek + Send + 'static> Recording<R> {
    /// Reads a recording through. `both` asks the survey for what two channels have in
    /// common, too.
    pub(crate) fn open(audio: R, limits: &Limits, both: bool) -> Result<Self, Reject> {
        let limit = Duration::from_secs(limits.extract_s);
        let deadline = Deadline { started: Instant::now(), limit };
        let mut source = Source::new(audio, &Failure::default()).map_err(fetch)?;
        if source.n_bytes() > limits.mib.saturating_mul(1 << 20) {
            return Err(Reject::too_large(limits.mib));
        }
        let sha256 = source.sha256().map_err(fetch)?;
        let opened = Self::survey(&source, limits, both, deadline);
        let mut recording = opened.map_err(|reject| blame(&source, reject))?;
        recording.info.sha256 = sha256;
        Ok(recording)
    }

    fn survey(
        source: &Source<R>,
        limits: &Limits,
        both: bool,
        deadline: Deadline,
    ) -> Result<Self, Reject> {
        let mut stream = open(source)?;
        let (mut planes, mut n_decoded) = (Vec::new(), 0);
        let (mut held, mut survey) = (Some(Vec::<Vec<f32>>::new()), None);
        while stream.block(&mut planes)? {
            deadline.check()?;
            let n_channels = planes.len();
            if n_channels as u64 > limits.channels {
                return Err(unsupported_channels(n_channels, limits.channels));
            }
            n_decoded += planes[0].len();
            // What an encoder put around the recording does not count.
            if is_longer(n_decoded, limits.duration_s.saturating_add(1), stream.rate_hz()) {
                return Err(too_long(limits.duration_s));
            }
            let (skipped, unread) = stream.praat_margins().unwrap_or_default();
            let new = || Survey::new(n_channels, both, skipped, unread > 0);
            survey.get_or_insert_with(new).push(&planes);
            held = held.filter(|_| n_decoded * n_channels <= MOST_HELD);
            if let Some(held) = &mut held {
                held.resize_with(n_channels, Vec::new);
                for (channel, plane) in held.iter_mut().zip(&planes) {
                    channel.extend_from_slice(plane);
                }
            }
        }
        let range = stream.recording(n_decoded);
        let Some(survey) = survey.filter(|_| !range.is_empty()) else {
            return Err(stream.nothing());
        };
        if is_longer(range.len(), limits.duration_s, stream.rate_hz()) {
            return Err(too_long(limits.duration_s));
        }
        let info = stream.info(range.len() as u64);
        let warnings = stream.warnings(n_decoded, survey.is_clipped());
        let praat = match stream.praat_margins() {
            Some((skipped, unread)) => skipped..n_decoded.saturating_sub(unread).max(skipped),
            None => range.clone(),
        };
        let samples = match held {
            Some(held) => Samples::Held(held),
            None => Samples::Source(source.again().map_err(fetch)?),
        };
        Ok(Self { info, range, praat, warnings, survey, n_decoded, samples, deadline })
    }

    /// Gives all samples of every channel to `each`, block by block, with the place of the
    /// block's first.
    pub(crate) fn play(&self, mut each: impl FnMut(usize, &[&[f32]])) -> Result<(), Reject> {
        match &self.samples {
            Samples::Held(channels) => {
                for at in (0..self.n_decoded).step_by(BLOCK) {
                    self.deadline.check()?;
                    let end = self.n_decoded.min(at + BLOCK);
                    each(at, &channels.iter().map(|x| &x[at..end]).collect::<Vec<_>>());
                }
                Ok(())
            }
            Samples::Source(source) => {
                let played = self.decode(source, each);
                played.map_err(|reject| blame(source, reject))
            }
        }
    }

    fn decode(
        &self,
        source: &Source<R>,
        mut each: impl FnMut(usize, &[&[f32]]),
    ) -> Result<(), Reject> {
        let mut stream = open(source)?;
        let (mut planes, mut at) = (Vec::new(), 0);
        while stream.block(&mut planes)? {
            self.deadline.check()?;
            each(at, &planes.iter().map(Vec::as_slice).collect::<Vec<_>>());
            at += planes[0].len();
        }
        if at == self.n_decoded { Ok(()) } else { Err(fetch("it changed while it was read")) }
    }
}

/// Opens a recording and decodes its first samples only.
///
/// The duration is what the container says, 0 if it says nothing; the hash is left empty.
///
/// # Errors
/// As [`crate::Extractor::extract`], as far as the start of the file shows.
pub fn probe<R>(audio: R) -> Result<AudioInfo, Reject>
where
    R: Read + Seek + Send + 'static,
{
    let source = Source::new(audio, &Failure::default()).map_err(fetch)?;
    let first = open(&source).and_then(Stream::read_first);
    first.map_err(|reject| blame(&source, reject))
}

/// All samples of each channel of a recording, without what an encoder put around them.
///
/// # Errors
/// As [`crate::Extractor::extract`].
pub fn samples<R>(audio: R, limits: &Limits) -> Result<Vec<Vec<f32>>, Reject>
where
    R: Read + Seek + Send + 'static,
{
    let recording = Recording::open(audio, limits, false)?;
    let mut samples = vec![Vec::new(); usize::from(recording.info.channels)];
    recording.play(|at, channels| {
        for (samples, channel) in samples.iter_mut().zip(channels) {
            samples.extend_from_slice(&channel[within(at, channel.len(), &recording.range)]);
        }
    })?;
    Ok(samples)
}

/// The part of a block of `n` samples, the first at place `at`, that lies in `range`.
pub(crate) fn within(at: usize, n: usize, range: &Range<usize>) -> Range<usize> {
    let place = |i: usize| i.saturating_sub(at).min(n);
    place(range.start)..place(range.end)
}

/// A stream from the source's start on; a panic in a reader is the fault of this one file.
fn open<R: Read + Seek + Send + 'static>(source: &Source<R>) -> Result<Stream, Reject> {
    let source = source.again().map_err(fetch)?;
    catch_unwind(AssertUnwindSafe(|| Stream::open(source)))
        .unwrap_or_else(|_| Err(corrupt("its decoder gave up")))
}

fn is_longer(n_samples: usize, duration_s: u64, rate_hz: u32) -> bool {
    n_samples as u64 > duration_s.saturating_mul(u64::from(rate_hz))
}

/// Tells a failed read from a damaged file.
fn blame<R: Read + Seek>(source: &Source<R>, reject: Reject) -> Reject {
    source.failure().map_or(reject, fetch)
}
