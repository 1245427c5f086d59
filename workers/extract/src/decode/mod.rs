//! From the bytes of a recording to its samples, whatever the format and file name.
//!
//! Always holds: all channels have the same number of finite samples, at least one; what
//! was odd about the file is a warning, what makes it useless a reject.
//! It does not know what the samples are for.

mod source;
mod wav;

use std::io::{ErrorKind, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_MP3;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::packet::Packet;
use symphonia::default::{get_codecs, get_probe};
use voxage_contract::{AudioInfo, Reject, Warning};

use source::{Failure, Source};
use wav::{Wav, WavError};

/// Sample rates that are read, in Hz.
const RATES_HZ: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// More channels than any microphone array of interest has.
const MAX_CHANNELS: usize = 64;

/// Packets in a row that may be unreadable before the rest of the file is given up.
const MAX_BAD_PACKETS: u32 = 1000;

/// A decoded recording.
pub(crate) struct Decoded {
    pub(crate) info: AudioInfo,
    /// Samples of each channel at the native rate, 1.0 being full scale.
    pub(crate) channels: Vec<Vec<f32>>,
    pub(crate) warnings: Vec<Warning>,
}

/// Decodes a whole recording.
pub(crate) fn decode<R>(audio: R) -> Result<Decoded, Reject>
where
    R: Read + Seek + Send + Sync + 'static,
{
    guarded(|failure| {
        let mut source = Source::new(audio, failure).map_err(fetch)?;
        let sha256 = source.sha256().map_err(fetch)?;
        let mut decoded = Stream::open(source)?.read_all()?;
        decoded.info.sha256 = sha256;
        Ok(decoded)
    })
}

/// Opens a recording and decodes its first samples only.
///
/// The duration is what the container says, 0 if it says nothing; the hash is left empty.
///
/// # Errors
/// As [`crate::Extractor::extract`], as far as the start of the file shows.
pub fn probe<R>(audio: R) -> Result<AudioInfo, Reject>
where
    R: Read + Seek + Send + Sync + 'static,
{
    guarded(|failure| {
        let source = Source::new(audio, failure).map_err(fetch)?;
        Stream::open(source)?.read_first()
    })
}

/// Runs `work`; a failed read is told from a damaged file, and a panic in a decoder is
/// the fault of that one file.
fn guarded<T>(work: impl FnOnce(&Failure) -> Result<T, Reject>) -> Result<T, Reject> {
    let failure = Failure::default();
    let result = catch_unwind(AssertUnwindSafe(|| work(&failure)))
        .unwrap_or_else(|_| Err(corrupt("its decoder gave up")));
    match failure.get() {
        Some(why) => Err(fetch(why)),
        None => result,
    }
}

fn fetch(why: impl std::fmt::Display) -> Reject {
    Reject::new("fetch", "read_failed", format!("the audio cannot be read: {why}"))
}

fn reject(code: &str, message: impl Into<String>) -> Reject {
    Reject::new("decode", code, message)
}

fn corrupt(why: impl std::fmt::Display) -> Reject {
    reject("corrupt", format!("the audio is damaged: {why}; export or fetch it again"))
}

fn unsupported_codec(what: impl std::fmt::Display) -> Reject {
    reject("unsupported_codec", format!("no decoder for {what}; convert it to WAV, FLAC or MP3"))
}

fn no_samples() -> Reject {
    reject("no_samples", "the file holds no audio samples; record or export it again")
}

/// An opened container with the decoder of its audio track.
struct Stream {
    packets: Packets,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// Frames at the start that the encoder put there.
    delay_frames: usize,
    /// Frames of the recording, where the container knows.
    n_frames: Option<u64>,
    truncated: bool,
}

enum Packets {
    Wav(Wav),
    Other(Box<dyn FormatReader>),
}

impl Packets {
    fn next(&mut self) -> Result<Option<Packet>, Error> {
        match self {
            Self::Wav(wav) => Ok(wav.next_packet()?),
            Self::Other(reader) => reader.next_packet(),
        }
    }
}

impl Stream {
    fn open<R>(mut source: Source<R>) -> Result<Self, Reject>
    where
        R: Read + Seek + Send + Sync + 'static,
    {
        if source.n_bytes() == 0 {
            return Err(reject("empty_audio", "the file has no bytes; record or fetch it again"));
        }
        let mut start = Vec::new();
        (&mut source).take(16).read_to_end(&mut start).map_err(fetch)?;
        source.rewind().map_err(fetch)?;
        if wav::is_wav(&start) { Self::open_wav(source) } else { Self::open_other(source) }
    }

    fn open_wav(source: impl MediaSource + 'static) -> Result<Self, Reject> {
        let wav = Wav::open(Box::new(source)).map_err(|error| match error {
            WavError::Io(why) => corrupt(why),
            WavError::Corrupt(why) => corrupt(why),
            WavError::Unsupported(what) => unsupported_codec(what),
        })?;
        Ok(Self {
            decoder: decoder(&wav.params)?,
            track: 0,
            delay_frames: 0,
            n_frames: Some(wav.n_frames),
            truncated: wav.truncated,
            packets: Packets::Wav(wav),
        })
    }

    fn open_other(source: impl MediaSource + 'static) -> Result<Self, Reject> {
        let stream = MediaSourceStream::new(Box::new(source), Default::default());
        let reader = get_probe()
            .probe(&Hint::new(), stream, Default::default(), Default::default())
            .map_err(|error| match error {
                Error::Unsupported(_) => unknown_format(),
                Error::IoError(why) if why.kind() == ErrorKind::UnexpectedEof => unknown_format(),
                other => corrupt(other),
            })?;
        let track = reader
            .first_track_known_codec(TrackType::Audio)
            .or_else(|| reader.first_track(TrackType::Audio))
            .ok_or_else(|| reject("no_audio", "the file has no audio track"))?;
        let Some(CodecParameters::Audio(params)) = &track.codec_params else {
            return Err(unsupported_codec("its audio track"));
        };
        let mp3 = params.codec == CODEC_ID_MP3;
        // Without an encoder's tag the length of an MP3 is a guess from its first frames.
        let n_frames = track.num_frames.filter(|_| !mp3 || track.delay.is_some());
        Ok(Self {
            decoder: decoder(params)?,
            track: track.id,
            delay_frames: if mp3 { track.delay.unwrap_or(0) as usize } else { 0 },
            n_frames,
            truncated: false,
            packets: Packets::Other(reader),
        })
    }

    /// Decodes the next packet that can be decoded into `planes`; false at the end.
    /// `damaged` is set if a packet was left out.
    fn next(&mut self, planes: &mut Vec<Vec<f32>>, damaged: &mut bool) -> Result<bool, Reject> {
        let mut bad_packets = 0;
        while bad_packets < MAX_BAD_PACKETS {
            let packet = match self.packets.next() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(false),
                Err(Error::IoError(why)) if why.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(false);
                }
                Err(Error::DecodeError(_)) => {
                    (*damaged, bad_packets) = (true, bad_packets + 1);
                    continue;
                }
                Err(_) => {
                    *damaged = true;
                    return Ok(false);
                }
            };
            if packet.track_id != self.track {
                continue;
            }
            match self.decoder.decode(&packet) {
                Ok(buffer) => {
                    buffer.copy_to_vecs_planar(planes);
                    return Ok(true);
                }
                Err(Error::Unsupported(what)) => return Err(unsupported_codec(what)),
                Err(Error::ResetRequired) => self.decoder.reset(),
                Err(_) => (*damaged, bad_packets) = (true, bad_packets + 1),
            }
        }
        Ok(false)
    }

    fn read_all(mut self) -> Result<Decoded, Reject> {
        let (mut planes, mut channels) = (Vec::new(), Vec::<Vec<f32>>::new());
        let mut damaged = false;
        while self.next(&mut planes, &mut damaged)? {
            if channels.is_empty() {
                check_channels(planes.len())?;
                channels.resize_with(planes.len(), Vec::new);
            }
            if planes.len() != channels.len() {
                damaged = true;
                continue;
            }
            for (channel, plane) in channels.iter_mut().zip(&planes) {
                channel.extend_from_slice(plane);
            }
        }
        let n_decoded = channels.first().map_or(0, Vec::len);
        let kept = self.delay_frames.min(n_decoded)..n_decoded;
        let n_kept = self.n_frames.map_or(kept.len(), |n| kept.len().min(n as usize));
        for channel in &mut channels {
            channel.truncate(kept.start + n_kept);
            channel.drain(..kept.start);
        }
        if n_kept == 0 {
            return Err(if damaged {
                corrupt("no part of it can be decoded")
            } else {
                no_samples()
            });
        }
        let mut non_finite = false;
        for x in channels.iter_mut().flatten().filter(|x| !x.is_finite()) {
            (*x, non_finite) = (0.0, true);
        }
        let truncated = self.truncated || self.n_frames.is_some_and(|n| (n_kept as u64) < n);
        let clipped = channels.iter().any(|channel| is_clipped(channel));
        let info = self.info(channels.len(), n_kept as u64)?;
        let warnings = [
            (clipped, Warning::Clipped),
            (truncated, Warning::Truncated),
            (non_finite, Warning::NonFinite),
            (damaged, Warning::Damaged),
        ];
        let warnings = warnings.into_iter().filter(|(on, _)| *on).map(|(_, w)| w).collect();
        Ok(Decoded { info, channels, warnings })
    }

    fn read_first(mut self) -> Result<AudioInfo, Reject> {
        let mut planes = Vec::new();
        if !self.next(&mut planes, &mut false)? {
            return Err(no_samples());
        }
        check_channels(planes.len())?;
        self.info(planes.len(), self.n_frames.unwrap_or(0))
    }

    fn info(&self, n_channels: usize, n_frames: u64) -> Result<AudioInfo, Reject> {
        let rate_hz = self.decoder.last_decoded().spec().rate();
        if !RATES_HZ.contains(&rate_hz) {
            return Err(reject(
                "unsupported_rate",
                format!("a sample rate of {rate_hz} Hz; it has to be 4000 to 384000 Hz"),
            ));
        }
        Ok(AudioInfo {
            codec: self.decoder.codec_info().short_name.into(),
            sample_rate_hz: rate_hz,
            channels: n_channels as u16,
            duration_s: n_frames as f64 / f64::from(rate_hz),
            sha256: String::new(),
        })
    }
}

fn unknown_format() -> Reject {
    reject(
        "unknown_format",
        "this is no audio that is known here; convert it to WAV, FLAC, MP3, Ogg Vorbis or AAC",
    )
}

fn check_channels(n: usize) -> Result<(), Reject> {
    match n {
        0 => Err(no_samples()),
        n if n > MAX_CHANNELS => Err(reject(
            "unsupported_channels",
            format!("{n} channels; export at most {MAX_CHANNELS}"),
        )),
        _ => Ok(()),
    }
}

fn decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, Reject> {
    // MP3 is trimmed here: its demuxer would also cut where it only guessed the length.
    let options = AudioDecoderOptions::default().gapless(params.codec != CODEC_ID_MP3);
    get_codecs().make_audio_decoder(params, &options).map_err(|error| match error {
        Error::Unsupported(_) => unsupported_codec(format!("codec {}", params.codec)),
        other => corrupt(other),
    })
}

/// Whether a microphone or converter cut the peaks off: at least one sample in a thousand
/// stands in a run of three or more at the channel's greatest magnitude, and that is at
/// least half of full scale (quiet 8-bit sound has flat tops by nature).
fn is_clipped(channel: &[f32]) -> bool {
    let peak = channel.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
    if peak < 0.5 {
        return false;
    }
    let (mut flat, mut run) = (0, 0);
    for x in channel {
        run = if x.abs() >= 0.999 * peak { run + 1 } else { 0 };
        flat += match run {
            0..3 => 0,
            3 => 3,
            _ => 1,
        };
    }
    flat * 1000 >= channel.len()
}
