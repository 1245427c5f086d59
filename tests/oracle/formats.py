"""The same synthetic voice in every format: formats.py WAV_DIR OUT_DIR."""

import pathlib
import sys

import av
import librosa
import numpy as np
import soundfile

# File: container and coding, as libsndfile names them.
SNDFILE = {
    "u8.wav": ("WAV", "PCM_U8"),
    "s16.wav": ("WAV", "PCM_16"),
    "s24.wav": ("WAV", "PCM_24"),
    "s32.wav": ("WAV", "PCM_32"),
    "f32.wav": ("WAV", "FLOAT"),
    "f64.wav": ("WAV", "DOUBLE"),
    "alaw.wav": ("WAV", "ALAW"),
    "mulaw.wav": ("WAV", "ULAW"),
    "ima.wav": ("WAV", "IMA_ADPCM"),
    "ms.wav": ("WAV", "MS_ADPCM"),
    "extensible.wav": ("WAVEX", "PCM_24"),
    "s16.flac": ("FLAC", "PCM_16"),
    "s24.flac": ("FLAC", "PCM_24"),
    "vorbis.ogg": ("OGG", "VORBIS"),
    "opus.ogg": ("OGG", "OPUS"),
    "cbr.mp3": ("MP3", "MPEG_LAYER_III"),
    "joint.mp3": ("MP3", "MPEG_LAYER_III"),
    "s16.aiff": ("AIFF", "PCM_16"),
    "s16.caf": ("CAF", "PCM_16"),
    "alac.caf": ("CAF", "ALAC_16"),
    "s16.au": ("AU", "PCM_16"),
    "s24.au": ("AU", "PCM_24"),
    "f64.au": ("AU", "DOUBLE"),
    "alaw.au": ("AU", "ALAW"),
    "mulaw.au": ("AU", "ULAW"),
    "s16.w64": ("W64", "PCM_16"),
    "ima.w64": ("W64", "IMA_ADPCM"),
    "rf64.wav": ("RF64", "PCM_16"),
}

# File: coding, rate in Hz and options, as FFmpeg names them.
FFMPEG = {
    "aac.m4a": ("aac", 16000, {"b": "48000"}),
    "aac.mkv": ("aac", 16000, {"b": "48000"}),
    "aac.aac": ("aac", 16000, {"b": "48000"}),
    "alac.m4a": ("alac", 16000, {}),
    "vbr.mp3": ("libmp3lame", 44100, {"q": "5"}),
    "mpeg25.mp3": ("libmp3lame", 8000, {"b": "16000"}),
    "opus.webm": ("libopus", 48000, {"b": "32000"}),
    "opus.mp4": ("libopus", 48000, {"b": "32000"}),
}


def main(wav_dir, out_dir):
    out = pathlib.Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    voices = {rate: voice(wav_dir, rate) for rate in (8000, 16000)}
    for name, (container, coding) in SNDFILE.items():
        # Eight bytes a sample would be too large a file at the higher rate.
        rate = 8000 if coding == "DOUBLE" else 16000
        # Whole numbers stay as they are; only floats have to be scaled.
        samples = voices[rate] / 32768.0 if coding in ("FLOAT", "DOUBLE") else voices[rate]
        if name == "joint.mp3":
            # Two channels, alike in the middle; at a rate that has two granules a frame.
            right = np.roll(samples, 40) // 2
            right[4000:10000] = samples[4000:10000] // 2
            samples, rate = np.stack([samples, right], axis=1), 32000
        soundfile.write(out / name, samples, rate, format=container, subtype=coding)
    for name, (codec, rate, options) in FFMPEG.items():
        samples = voices.get(rate)
        if samples is None:
            samples = librosa.resample(voices[16000] / 32768.0, orig_sr=16000, target_sr=rate)
            samples = np.round(samples * 32768.0).astype(np.int16)
        encode(out / name, codec, rate, options, samples)


def voice(wav_dir, rate):
    return soundfile.read(pathlib.Path(wav_dir) / f"voice_{rate}.wav", dtype="int16")[0]


def encode(path, codec, rate, options, samples):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", options=options)
        if "b" in options:
            stream.bit_rate = int(options["b"])
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = rate
        # Containers can say how much comes before it.
        frame.pts = 0
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size or 0
        )
        for piece in resampler.resample(frame) + resampler.resample(None):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


main(*sys.argv[1:])
