"""Golden features of real recordings: golden_real.py DATA OUT_DIR.

Numbers only; the recordings stay where they are, and their hashes tell whether they are
still the same.
"""

import json
import math
import pathlib
import sys
import tempfile

import librosa
import numpy as np

from oracle import RATE_HZ, compat, decoded, librosa_columns, log_mel, resampled, samples_of
from recordings import at_own_rate, own_rate_recordings, recordings, sha256

# Of each set every so many recordings, as they are.
NATIVE = {"polito": 2, "saa": 4, "speechocean762": 5}
# Of those without loss every so many, said to be of the features' own rate.
OWN_RATE = {"speechocean762": 2}
# A column that changes by more than this with nothing that it measures is unsteady.
UNSTEADY = 1e-4
# Cells of a spectrogram: about six frames, every eighth band.
N_FRAMES = 6
BANDS = slice(3, None, 8)


def main(data, out):
    data, out = pathlib.Path(data), pathlib.Path(out)
    write(out / "native.json", data, recordings(data, NATIVE), lambda path: path)
    with tempfile.TemporaryDirectory() as folder:
        wav = pathlib.Path(folder, "own_rate.wav")

        def rewritten(path):
            wav.write_bytes(at_own_rate(path))
            return wav

        write(out / "own_rate.json", data, own_rate_recordings(data, OWN_RATE), rewritten)


def unsteady(path, columns):
    """The columns of which librosa is not sure itself.

    Where a recording holds digital silence, librosa counts the rounding noise that its
    resampler leaves there, and the first samples out of the resampler are not those that
    come out after silence. So a recording that is a little quieter, or starts a little
    later, has other columns, though nothing that they measure has changed.
    """
    channels, rate_hz = decoded(path)
    if rate_hz == RATE_HZ:
        return []
    mono, found = librosa.to_mono(channels), set()
    # As many samples at both rates as make the same time.
    unit = rate_hz // math.gcd(rate_hz, RATE_HZ)
    for gain, n_units in ((0.97, 0), (0.83, 0), (1.0, 7)):
        changed = np.concatenate([np.zeros(n_units * unit, np.float32), np.float32(gain) * mono])
        changed = resampled(changed, rate_hz)
        other = librosa_columns(changed[n_units * unit * RATE_HZ // rate_hz :])
        other["energy"] /= gain**2
        for name, value in other.items():
            theirs = np.nan if columns[name] is None else columns[name]
            if not np.isclose(value, theirs, rtol=UNSTEADY, atol=0, equal_nan=True):
                found.add(name)
    return sorted(found)


def write(out, data, paths, file_of):
    lines = []
    for path in paths:
        mono, sound = samples_of(file_of(data / path))
        mel, columns = log_mel(mono), compat(mono, sound)
        frame_every = -(-len(mel) // N_FRAMES)
        cells = (-1000 * mel[::frame_every, BANDS]).round().astype(int)
        golden = {
            "path": path,
            "sha256": sha256(data / path),
            "tabular": list(columns.values()),
            "unsteady": unsteady(file_of(data / path), columns),
            "n_frames": len(mel),
            "frame_every": frame_every,
            "below_max_mdb": cells.tolist(),
        }
        lines.append(json.dumps(golden, separators=(",", ":")))
    head = f'"columns":{json.dumps(list(columns))},"first_band":3,"band_every":8'
    out.write_text(f'{{{head},"recordings":[\n' + ",\n".join(lines) + "\n]}\n")


main(*sys.argv[1:])
