"""The features of a recording as librosa and Praat compute them."""

import warnings

import av
import librosa
import numpy as np
import parselmouth
import soundfile
from parselmouth.praat import call

RATE_HZ = 22050

warnings.filterwarnings("ignore")


def decoded(path):
    """The channels as libsndfile decodes them, and FFmpeg what it does not read."""
    try:
        channels, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        return channels.T, rate_hz
    except soundfile.LibsndfileError:
        with av.open(str(path)) as container:
            to_float = av.AudioResampler(format="fltp")
            frames = [f for frame in container.decode(audio=0) for f in to_float.resample(frame)]
            stream, rate_hz = container.streams.audio[0], frames[0].rate
            # It plays all of the last packet of an MP4, though it knows where the edit ends.
            end = stream.duration and round(stream.duration * stream.time_base * rate_hz)
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)[:, :end], rate_hz


def resampled(mono, rate_hz):
    return librosa.resample(mono, orig_sr=rate_hz, target_sr=RATE_HZ)


def samples_of(path):
    """What librosa.load gives, and the sound that Praat sees."""
    channels, rate_hz = decoded(path)
    mono = resampled(librosa.to_mono(channels), rate_hz)
    try:
        sound = parselmouth.Sound(str(path))
    except parselmouth.PraatError:
        sound = parselmouth.Sound(channels.astype(np.float64), sampling_frequency=rate_hz)
    return mono, sound


def log_mel(mono):
    """Levels in dB re the maximum, [n_frames, 128]."""
    mel = librosa.feature.melspectrogram(y=mono, sr=RATE_HZ)
    return librosa.power_to_db(mel, ref=np.max).T


def compat(mono, sound):
    """The columns of the set `compat` that follow from the audio."""
    return known(librosa_columns(mono) | praat_columns(sound))


def known(columns):
    """What is no number is not there."""
    return {name: None if np.isnan(value) else float(value) for name, value in columns.items()}


def librosa_columns(mono):
    pitches, _ = librosa.piptrack(y=mono, sr=RATE_HZ)
    peaks = pitches[pitches > 0]
    intervals = librosa.effects.split(mono, top_db=30)
    return {
        "mean_pitch": peaks.mean() if peaks.size else np.nan,
        "max_pitch": peaks.max(initial=-np.inf) if peaks.size else np.nan,
        "min_pitch": peaks.min(initial=np.inf) if peaks.size else np.nan,
        "energy": np.mean(mono.astype(np.float64) ** 2),
        "zcr_mean": librosa.feature.zero_crossing_rate(mono).mean(),
        "spectral_centroid_mean": librosa.feature.spectral_centroid(y=mono, sr=RATE_HZ).mean(),
        "tempo": np.atleast_1d(librosa.beat.beat_track(y=mono, sr=RATE_HZ)[0])[0],
        "num_pauses": len(intervals),
        "silence_duration": sum(end - start for start, end in intervals) / RATE_HZ,
    }


def praat_columns(sound):
    columns = dict.fromkeys(["jitter", "shimmer", "hnr"], np.nan)
    try:
        pulses = call(sound, "To PointProcess (periodic, cc)", 75, 600)
        periods = (0, 0, 0.0001, 0.02, 1.3)
        columns["jitter"] = call(pulses, "Get jitter (local)", *periods)
        columns["shimmer"] = call([sound, pulses], "Get shimmer (local)", *periods, 1.6)
        columns["hnr"] = sound.to_harmonicity().values.mean()
    except parselmouth.PraatError:
        pass  # Too short for one of them.
    return columns
