//! The samples of a file as symphonia decodes them, without the extractor's own trimming.

use std::error::Error;
use std::io::Cursor;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::TrackType;
use symphonia::core::formats::probe::Hint;
use symphonia::core::io::MediaSourceStream;
use symphonia::default::{get_codecs, get_probe};

/// All samples, channel after channel for each moment.
pub fn interleaved(file: Vec<u8>) -> Result<Vec<f32>, Box<dyn Error>> {
    let stream = MediaSourceStream::new(Box::new(Cursor::new(file)), Default::default());
    let mut reader =
        get_probe().probe(&Hint::new(), stream, Default::default(), Default::default())?;
    let track = reader.first_track(TrackType::Audio).ok_or("it has no audio")?;
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let options = AudioDecoderOptions::default().gapless(false);
    let mut decoder =
        get_codecs().make_audio_decoder(params.ok_or("its audio is unknown")?, &options)?;
    let (mut samples, mut packet_samples) = (Vec::new(), Vec::new());
    while let Some(packet) = reader.next_packet()? {
        decoder.decode(&packet)?.copy_to_vec_interleaved(&mut packet_samples);
        samples.extend_from_slice(&packet_samples);
    }
    Ok(samples)
}
