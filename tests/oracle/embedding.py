"""Golden embeddings by PyTorch and librosa: embedding.py WEIGHTS WAV_DIR OUT_JSON."""

import json
import pathlib
import sys

import librosa
import numpy as np
import soundfile
import torch

WINDOW = 160
STRIDE = 80
BANDS = 40
LEVEL_DB = -30
# Windows of made-up frames that the network alone is tried on.
N_MADE_UP = 7
# Of a spectrogram every so many frames are kept.
EVERY = 16


class Encoder(torch.nn.Module):
    """Resemblyzer's VoiceEncoder."""

    def __init__(self, weights):
        super().__init__()
        self.lstm = torch.nn.LSTM(BANDS, 256, 3, batch_first=True)
        self.linear = torch.nn.Linear(256, 256)
        state = torch.load(weights, map_location="cpu", weights_only=False)["model_state"]
        self.load_state_dict(state, strict=False)

    @torch.no_grad()
    def hidden(self, windows):
        """The top layer's last hidden states, [n, 256]."""
        return self.lstm(torch.from_numpy(windows))[1][0][-1]

    @torch.no_grad()
    def embed(self, windows):
        """The embedding of a recording's windows, [256]."""
        raw = torch.relu(self.linear(self.hidden(windows)))
        mean = (raw / raw.norm(dim=1, keepdim=True)).numpy().mean(axis=0)
        return mean / np.linalg.norm(mean)


def raised(samples):
    """The samples, raised to the level if they are below it: normalize_volume(increase_only=True)."""
    level_db = 20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    return samples * np.float32(10 ** (max(0, LEVEL_DB - level_db) / 20))


def mel_of(samples):
    """Power, [n_frames, 40], with silence to the end of the first window."""
    samples = np.pad(samples, (0, max(0, WINDOW * 160 - len(samples))))
    return librosa.feature.melspectrogram(y=samples, sr=16000, n_fft=400, hop_length=160, n_mels=BANDS).T


def windows_of(mel):
    starts = range(0, len(mel) - WINDOW + 1, STRIDE)
    return np.stack([mel[start:][:WINDOW] for start in starts]).astype(np.float32)


def made_up():
    """Windows that any language makes alike, of about the range of speech."""
    n = np.arange(N_MADE_UP * WINDOW * BANDS, dtype=np.int64)
    noise = (n * 7919 + n * n % 10007 * 31) % 1009
    return (noise.astype(np.float32) / np.float32(1009)).reshape(N_MADE_UP, WINDOW, BANDS)


def listed(array, digits):
    return [float(f"{x:.{digits}g}") for x in np.asarray(array, np.float64).ravel()]


def main(weights, wav_dir, out):
    encoder = Encoder(weights)
    golden = {"hidden": [listed(row, 8) for row in encoder.hidden(made_up())], "voices": {}}
    for path in sorted(pathlib.Path(wav_dir).glob("voice_speaker_*.wav")):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        assert rate_hz == 16000
        mel = mel_of(raised(samples))
        golden["voices"][path.stem.removeprefix("voice_speaker_")] = {
            "mel_every": EVERY,
            "mel": listed(mel[::EVERY], 6),
            "embedding": listed(encoder.embed(windows_of(mel)), 8),
        }
    lines = json.dumps(golden, separators=(",", ":")).replace("],", "],\n")
    pathlib.Path(out).write_text(lines + "\n")


main(*sys.argv[1:])
