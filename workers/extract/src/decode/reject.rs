//! The ways in which audio can be of no use, each with what to do about it.

use std::fmt::Display;
use std::time::Duration;

use voxage_contract::Reject;

use super::codec::MOST_CHANNELS;

/// The bytes cannot be had.
pub(super) fn fetch(why: impl Display) -> Reject {
    Reject::new("fetch", "read_failed", format!("the audio cannot be read: {why}"))
}

pub(super) fn empty_audio() -> Reject {
    decode("empty_audio", "the file has no bytes; record or fetch it again")
}

pub(super) fn unknown_format() -> Reject {
    let known =
        "WAV, FLAC, MP3, AAC (also in MP4), Vorbis or Opus (in Ogg or WebM), AIFF, AU or CAF";
    decode(
        "unknown_format",
        format!("the file is not audio of a known format; convert it to {known}"),
    )
}

pub(super) fn unsupported_codec(what: impl Display) -> Reject {
    decode("unsupported_codec", format!("{what} cannot be decoded; convert it to WAV, FLAC or MP3"))
}

pub(super) fn unsupported_rate(rate_hz: u32) -> Reject {
    let message = format!("the sample rate is {rate_hz} Hz; resample it to 4000 to 384000 Hz");
    decode("unsupported_rate", message)
}

pub(super) fn unsupported_channels(n: usize, most: u64) -> Reject {
    let mut way_out = format!("export {most} at most");
    if most < MOST_CHANNELS as u64 {
        way_out += &format!(", or {}", raise("channels"));
    }
    decode("unsupported_channels", format!("the file has {n} channels; {way_out}"))
}

pub(super) fn too_long(duration_s: u64) -> Reject {
    let way_out = raise("duration_s");
    decode("too_long", format!("the recording is longer than {duration_s} s; cut it, or {way_out}"))
}

pub(super) fn too_slow(limit: Duration) -> Reject {
    let way_out = format!("cut the recording, or {}", raise("extract_s"));
    let message = format!("it took longer than {} s to extract; {way_out}", limit.as_secs());
    Reject::new("extract", "too_slow", message)
}

pub(super) fn no_audio() -> Reject {
    let way_out = "export its sound as WAV, FLAC or MP3";
    decode("no_audio", format!("the file has no audio track of a known kind; {way_out}"))
}

pub(super) fn no_samples() -> Reject {
    decode("no_samples", "the file holds no audio samples; record or export it again")
}

pub(super) fn corrupt(why: impl Display) -> Reject {
    decode("corrupt", format!("the file is damaged: {why}; export or fetch it again"))
}

/// How the command takes a greater limit.
fn raise(limit: &str) -> String {
    format!("raise spec.limits.{limit} (--limits-{})", limit.replace('_', "-"))
}

fn decode(code: &str, message: impl Into<String>) -> Reject {
    Reject::new("decode", code, message)
}
