//! The decoder of a track's audio, or what a person can do where there is none.
//!
//! Always holds: no decoder makes room for more channels than a file of voices has.
//! It does not know containers.

use symphonia::core::audio::{Audio, Channels, GenericAudioBufferRef};
use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
};
use symphonia::core::errors::Error;
use symphonia::default::get_codecs;
use voxage_contract::Reject;

use super::ima::Ima;
use super::mp3::Mp3;
use super::opus::Opus;
use super::own::Own;
use super::reject::{corrupt, no_samples, unsupported_channels, unsupported_codec};

/// More channels than any file of voices has: what decoders make room for.
pub(super) const MOST_CHANNELS: usize = 255;

pub(super) fn check_channels(n: usize) -> Result<(), Reject> {
    match n {
        0 => Err(no_samples()),
        1..=MOST_CHANNELS => Ok(()),
        _ => Err(unsupported_channels(n, MOST_CHANNELS as u64)),
    }
}

/// The decoder of audio with these parameters.
pub(super) fn decoder(params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, Reject> {
    // Before a decoder makes room for as many as the header claims.
    check_channels(params.channels.as_ref().map_or(1, Channels::count))?;
    let options = AudioDecoderOptions::default();
    let decoder = match params.codec {
        CODEC_ID_OPUS => Opus::new(params, &options).map(|opus| Own::boxed(opus, params)),
        CODEC_ID_MP3 => Ok(Own::boxed(Mp3::new(), params)),
        CODEC_ID_ADPCM_IMA_WAV => Ima::new(params).map(|ima| Own::boxed(ima, params)),
        codec if get_codecs().get_audio_decoder(codec).is_none() => return Err(no_decoder(codec)),
        _ => get_codecs().make_audio_decoder(params, &options),
    };
    decoder.map_err(|error| match error {
        Error::Unsupported(_) if params.codec == CODEC_ID_OPUS => {
            unsupported_codec("Opus of other than one or two channels")
        }
        Error::Unsupported(what) => unsupported(what),
        Error::DecodeError(why) => corrupt(why),
        other => corrupt(other),
    })
}

/// What a decoder says that it does not support, in words for people.
pub(super) fn unsupported(what: &str) -> Reject {
    match what {
        "aac: aac too complex" | "aac: object type" => {
            unsupported_codec("AAC other than LC with one or two channels, such as HE-AAC,")
        }
        what => unsupported_codec(format_args!("audio of this kind ({what})")),
    }
}

fn no_decoder(codec: AudioCodecId) -> Reject {
    unsupported_codec(match codec {
        CODEC_ID_AC3 | CODEC_ID_EAC3 => "AC-3 (Dolby Digital)",
        CODEC_ID_DCA => "DTS",
        CODEC_ID_TRUEHD => "TrueHD",
        CODEC_ID_MP1 | CODEC_ID_MP2 => "MPEG audio of layer 1 or 2",
        CODEC_ID_WAVPACK => "WavPack",
        CODEC_ID_SPEEX => "Speex",
        _ => "the audio in it, of a kind that voxage has no decoder for,",
    })
}

/// The decoded samples of every channel into `planes`, rounded to single precision; none
/// becomes infinite by that.
pub(super) fn copy_planes(decoded: &GenericAudioBufferRef<'_>, planes: &mut Vec<Vec<f32>>) {
    let GenericAudioBufferRef::F64(doubles) = decoded else {
        return decoded.copy_to_vecs_planar(planes);
    };
    planes.resize_with(doubles.num_planes(), Vec::new);
    for (i, plane) in planes.iter_mut().enumerate() {
        plane.clear();
        plane.extend(doubles.plane(i).into_iter().flatten().map(|&x| to_single(x)));
    }
}

fn to_single(x: f64) -> f32 {
    let greatest = f64::from(f32::MAX);
    if x.is_finite() { x.clamp(-greatest, greatest) as f32 } else { x as f32 }
}
