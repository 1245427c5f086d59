//! An opened container with the decoder of its audio track.
//!
//! Always holds: parts that cannot be decoded are left out; memory follows from what was
//! decoded, not from what a header claims.
//! It does not know formats: symphonia, [`super::wav`] and [`super::au`] do; broken pages of
//! an Ogg file do not reach it, nor sizes beyond the end of one that was cut short.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{FORMAT_ID_FLAC, FORMAT_ID_MP3};
use symphonia::core::formats::{FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::packet::Packet;
use symphonia::default::get_probe;
use voxage_contract::{AudioInfo, Reject, Warning};

use super::codec::{check_channels, copy_planes, decoder, unsupported};
use super::ends::Ends;
use super::inspect::{Odd, clean};
use super::ogg::Pages;
use super::opus::pre_skip_frames;
use super::pcm::{HeaderError, Pcm};
use super::reject::{
    corrupt, empty_audio, fetch, no_audio, no_samples, unknown_format, unsupported_codec,
    unsupported_rate,
};
use super::source::Source;
use super::splice::{Part, Spliced};
use super::{au, cut, ends, ogg, wav};

/// Sample rates that are read, in Hz.
const RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Packets in a row that may be unreadable before the rest of the file is given up.
const MOST_BAD_PACKETS: u32 = 1000;

/// Recordings may end this much before their header says, in seconds.
const SLACK_S: f64 = 0.1;

/// Samples that Praat leaves out of what an MP3 decodes to, at the start. It keeps what
/// encoders put around the recording, but for the last packet if no tag follows it.
const PRAAT_MP3_SKIP: usize = 625;

/// An opened recording.
pub(super) struct Stream {
    packets: Packets,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// Frames at the start that are not of the recording; of MP3 `mp3_delay` tells.
    start: usize,
    /// Frames at the end that are not of the recording.
    padding: usize,
    /// MP3 without a container.
    is_mp3: bool,
    /// Its frames at the start that its encoder put there, if its tag says so.
    mp3_delay: Option<usize>,
    /// All frames that its encoder counted, those around the recording too.
    mp3_frames: Option<u64>,
    /// The file ends with an ID3v1 tag.
    id3v1: bool,
    /// Frames of the recording, where the container knows.
    n_frames: Option<u64>,
    /// Where the next packet begins if none is missing before it, in frames; for FLAC, whose
    /// packets say where they belong.
    next_at: Option<u64>,
    /// Why the decoder will not take this kind of audio, once it said so.
    refusal: Option<&'static str>,
    /// The container tells that its end is missing.
    cut: bool,
    /// A packet was left out.
    damaged: bool,
    /// There were samples that are no numbers, or numbers beyond all measure.
    odd: Odd,
    /// Channels and length of the first packet, once it was decoded.
    n_channels: usize,
    packet_frames: usize,
    began: bool,
    /// The first packet, while the silence before it is given.
    first: Option<Vec<Vec<f32>>>,
}

enum Packets {
    Pcm(Pcm),
    Other(Box<dyn FormatReader>),
}

impl Packets {
    fn next(&mut self) -> Result<Option<Packet>, Error> {
        match self {
            Self::Pcm(pcm) => Ok(pcm.next_packet()?),
            Self::Other(reader) => reader.next_packet(),
        }
    }
}

impl Stream {
    /// Opens a recording by what it contains.
    pub(super) fn open<R>(mut source: Source<R>) -> Result<Self, Reject>
    where
        R: Read + Seek + Send + 'static,
    {
        if source.n_bytes() == 0 {
            return Err(empty_audio());
        }
        let mut start = Vec::new();
        (&mut source).take(40).read_to_end(&mut start).map_err(fetch)?;
        source.rewind().map_err(fetch)?;
        if wav::is_wav(&start) {
            return Self::open_pcm(wav::open(Box::new(source)));
        }
        if au::is_au(&start) {
            return Self::open_pcm(au::open(Box::new(source)));
        }
        if start.starts_with(b"OggS") {
            return Self::open_ogg(source);
        }
        if let Some(remains) = cut::remains(&mut source, &start).map_err(header)? {
            let cut = remains.lacks_sound;
            let stream = Self::open_marked(Spliced::new(source, remains.parts()), &start)?;
            return Ok(Self { cut, ..stream });
        }
        let mut tag = [0; 3];
        if source.n_bytes() > 128 {
            source.seek(SeekFrom::End(-128)).map_err(fetch)?;
            source.read_exact(&mut tag).map_err(fetch)?;
            source.rewind().map_err(fetch)?;
        }
        Ok(Self { id3v1: tag == *b"TAG", ..Self::open_marked(source, &start)? })
    }

    /// Opens what may say which part of it is the recording.
    fn open_marked(mut source: impl MediaSource + 'static, start: &[u8]) -> Result<Self, Reject> {
        let ends = ends::ends(&mut source, start).map_err(|error| header(error.into()))?;
        let mut stream = Self::open_other(source)?;
        if let Some(ends) = ends.get(&stream.track) {
            stream.trim(ends);
        }
        Ok(stream)
    }

    /// Keeps to the recording, if there is anything of it.
    fn trim(&mut self, ends: &Ends) {
        let params = self.decoder.codec_params();
        let is_opus = params.codec == CODEC_ID_OPUS;
        let rate_hz = if is_opus { 48_000 } else { params.sample_rate.unwrap_or(0) };
        let frames = |ns: u64| (ns as f64 * 1e-9 * f64::from(rate_hz)).round() as u64;
        // Of Opus the decoder leaves the start out by itself.
        let start = if is_opus { 0 } else { frames(ends.start_ns) };
        if self.n_frames.is_none_or(|n| n > start) {
            self.start = start as usize;
            let most = ends.most_ns.map(frames);
            self.n_frames = self.n_frames.map(|n| n - start).into_iter().chain(most).min();
        }
        self.padding = frames(ends.padding_ns) as usize;
    }

    fn open_ogg(mut source: impl MediaSource + 'static) -> Result<Self, Reject> {
        let Pages { whole, cut, damaged } = ogg::survey(&mut source).map_err(fetch)?;
        if whole.first().is_none_or(|first| first.start > 0) {
            return Err(corrupt("its first page, which says what it contains, is broken"));
        }
        let pages = Spliced::new(source, whole.into_iter().map(Part::Kept));
        Ok(Self { cut, damaged, ..Self::open_other(pages)? })
    }

    fn open_pcm(opened: Result<Pcm, HeaderError>) -> Result<Self, Reject> {
        let pcm = opened.map_err(header)?;
        let (decoder, n_frames) = (decoder(&pcm.params)?, Some(pcm.n_frames));
        Ok(Self::new(Packets::Pcm(pcm), decoder, 0, n_frames))
    }

    fn open_other(source: impl MediaSource + 'static) -> Result<Self, Reject> {
        let stream = MediaSourceStream::new(Box::new(source), Default::default());
        let reader = get_probe()
            .probe(&Hint::new(), stream, Default::default(), Default::default())
            .map_err(|error| match error {
                Error::Unsupported(_) => unknown_format(),
                Error::IoError(why) if why.kind() == ErrorKind::UnexpectedEof => {
                    corrupt("it ends within its header, or is no audio at all")
                }
                Error::DecodeError(why) => corrupt(why),
                other => corrupt(other),
            })?;
        let track = reader
            .first_track_known_codec(TrackType::Audio)
            .or_else(|| reader.first_track(TrackType::Audio))
            .ok_or_else(no_audio)?;
        let Some(CodecParameters::Audio(params)) = &track.codec_params else {
            return Err(no_audio());
        };
        let (decoder, id) = (decoder(params)?, track.id);
        let next_at = (reader.format_info().format == FORMAT_ID_FLAC).then_some(0);
        let is_mp3 = reader.format_info().format == FORMAT_ID_MP3;
        let mp3_delay = track.delay.filter(|_| is_mp3).map(|delay| delay as usize);
        // Without an encoder's tag the length of an MP3 is a guess from its first packets.
        let n_frames = track.num_frames.filter(|_| !is_mp3 || mp3_delay.is_some());
        let around = [track.delay, track.padding].map(|n| u64::from(n.unwrap_or(0)));
        let mp3_frames = n_frames.filter(|_| is_mp3).map(|n| n + around[0] + around[1]);
        let n_frames = match params.codec {
            // Counted from the start of the broadcast that was recorded, before any skipping.
            CODEC_ID_OPUS => n_frames.map(|n| {
                let start = u64::try_from(track.start_ts.get()).unwrap_or(0);
                n.saturating_sub(start).saturating_sub(pre_skip_frames(params))
            }),
            _ => n_frames,
        };
        let stream = Self::new(Packets::Other(reader), decoder, id, n_frames);
        Ok(Self { is_mp3, mp3_delay, mp3_frames, next_at, ..stream })
    }

    fn new(
        packets: Packets,
        decoder: Box<dyn AudioDecoder>,
        track: u32,
        n_frames: Option<u64>,
    ) -> Self {
        Self {
            packets,
            decoder,
            track,
            start: 0,
            padding: 0,
            is_mp3: false,
            mp3_delay: None,
            mp3_frames: None,
            id3v1: false,
            n_frames,
            next_at: None,
            refusal: None,
            cut: false,
            damaged: false,
            odd: Odd::default(),
            n_channels: 0,
            packet_frames: 0,
            began: false,
            first: None,
        }
    }

    /// Decodes the next packet that can be decoded into `planes`; false at the end.
    fn next(&mut self, planes: &mut Vec<Vec<f32>>) -> bool {
        let mut bad_packets = 0;
        while bad_packets < MOST_BAD_PACKETS {
            let decoded = match self.packets.next() {
                Ok(None) => return false,
                Ok(Some(packet)) if packet.track_id != self.track => continue,
                Ok(Some(packet)) => {
                    if let Some(next_at) = &mut self.next_at {
                        let at = u64::try_from(packet.pts.get()).unwrap_or(0);
                        self.damaged |= at != *next_at;
                        *next_at = at.saturating_add(packet.dur.get());
                    }
                    self.decoder.decode(&packet)
                }
                Err(Error::IoError(why)) if why.kind() == ErrorKind::UnexpectedEof => return false,
                Err(Error::DecodeError(why)) => Err(Error::DecodeError(why)),
                Err(_) => break,
            };
            match decoded {
                Ok(buffer) => {
                    copy_planes(&buffer, planes);
                    return true;
                }
                Err(Error::Unsupported(what)) => self.refusal = Some(what),
                Err(Error::ResetRequired) => self.decoder.reset(),
                Err(_) => {}
            }
            (self.damaged, bad_packets) = (true, bad_packets + 1);
        }
        self.damaged = true;
        false
    }

    /// The next samples of every channel into `planes`, all numbers; false at the end.
    pub(super) fn block(&mut self, planes: &mut Vec<Vec<f32>>) -> Result<bool, Reject> {
        if let Some(first) = self.first.take() {
            *planes = first;
            return Ok(true);
        }
        loop {
            // A panic of a decoder is the fault of this one file.
            let next = catch_unwind(AssertUnwindSafe(|| self.next(planes)));
            if !next.map_err(|_| corrupt("its decoder gave up"))? {
                return Ok(false);
            }
            if self.n_channels == 0 {
                self.check_format(planes.len())?;
                (self.n_channels, self.packet_frames) = (planes.len(), planes[0].len());
                break;
            }
            if planes.len() == self.n_channels {
                break;
            }
            self.damaged = true;
        }
        for plane in &mut *planes {
            self.odd |= clean(plane);
        }
        if self.mp3_delay.is_some() && !std::mem::replace(&mut self.began, true) {
            // The packet that holds an MP3's tag decodes to silence.
            let silence = vec![vec![0.0; self.packet_frames]; self.n_channels];
            self.first = Some(std::mem::replace(planes, silence));
        }
        Ok(true)
    }

    /// Of `n_decoded` samples, those of the recording itself, without what an encoder put
    /// around them.
    pub(super) fn recording(&self, n_decoded: usize) -> Range<usize> {
        let start = self.mp3_delay.map_or(self.start, |delay| self.packet_frames + delay);
        let promised = self.n_frames.map_or(usize::MAX, |n| n.try_into().unwrap_or(usize::MAX));
        start..n_decoded.saturating_sub(self.padding).min(start.saturating_add(promised))
    }

    /// Samples at the start and at the end that Praat leaves out; none if it sees just the
    /// recording.
    pub(super) fn praat_margins(&self) -> Option<(usize, usize)> {
        let unread = if self.id3v1 { 0 } else { self.packet_frames };
        self.is_mp3.then_some((PRAAT_MP3_SKIP, unread))
    }

    /// What was odd about a file of which so many samples were decoded.
    pub(super) fn warnings(&self, n_decoded: usize, is_clipped: bool) -> Vec<Warning> {
        let duration_s = self.info(self.recording(n_decoded).len() as u64).duration_s;
        let promised_s = self.n_frames.unwrap_or(0) as f64 / f64::from(self.rate_hz());
        let lacks_last = self.next_at.zip(self.n_frames).is_some_and(|(end, n)| end < n);
        let counted = self.mp3_frames.map_or(0, |n| n + self.packet_frames as u64);
        let lacks_counted = (n_decoded as u64) < counted;
        let ends_early =
            self.cut || lacks_last || lacks_counted || duration_s + SLACK_S < promised_s;
        let warnings = [
            (self.odd.boundless || is_clipped, Warning::Clipped),
            (ends_early, Warning::Truncated),
            (self.odd.non_finite, Warning::NonFinite),
            (self.damaged, Warning::Damaged),
        ];
        warnings.into_iter().filter(|(holds, _)| *holds).map(|(_, warning)| warning).collect()
    }

    /// Decodes the first packet only.
    pub(super) fn read_first(mut self) -> Result<AudioInfo, Reject> {
        let mut planes = Vec::new();
        if !self.block(&mut planes)? {
            return Err(self.nothing());
        }
        Ok(self.info(self.n_frames.unwrap_or(0)))
    }

    /// Why there are no samples.
    pub(super) fn nothing(&self) -> Reject {
        match self.refusal {
            Some(what) => unsupported(what),
            None if self.damaged => corrupt("no part of it can be decoded"),
            None => no_samples(),
        }
    }

    pub(super) fn rate_hz(&self) -> u32 {
        self.decoder.last_decoded().spec().rate()
    }

    fn check_format(&self, n_channels: usize) -> Result<(), Reject> {
        check_channels(n_channels)?;
        if RATES_HZ.contains(&self.rate_hz()) {
            Ok(())
        } else {
            Err(unsupported_rate(self.rate_hz()))
        }
    }

    /// What the audio is, of which there are this many samples.
    pub(super) fn info(&self, n_frames: u64) -> AudioInfo {
        let sample_rate_hz = self.rate_hz();
        AudioInfo {
            codec: self.decoder.codec_info().short_name.into(),
            sample_rate_hz,
            channels: self.n_channels as u16,
            duration_s: n_frames as f64 / f64::from(sample_rate_hz),
            ..AudioInfo::default()
        }
    }
}

fn header(error: HeaderError) -> Reject {
    match error {
        HeaderError::Corrupt(why) => corrupt(why),
        HeaderError::Unsupported(what) => unsupported_codec(what),
    }
}
