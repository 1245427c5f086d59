"""Golden features of real recordings: golden_real.py DATA OUT_DIR.

Numbers only; the recordings stay where they are, and their hashes tell whether they are
still the same.
"""

import json
import pathlib
import sys
import tempfile

from oracle import compat, log_mel, samples_of
from recordings import at_own_rate, own_rate_recordings, recordings, sha256

# Of each set every so many recordings, as they are.
NATIVE = {"polito": 2, "saa": 4, "speechocean762": 5}
# Of those without loss every so many, said to be of the features' own rate.
OWN_RATE = {"speechocean762": 2}
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
            "n_frames": len(mel),
            "frame_every": frame_every,
            "below_max_mdb": cells.tolist(),
        }
        lines.append(json.dumps(golden, separators=(",", ":")))
    head = f'"columns":{json.dumps(list(columns))},"first_band":3,"band_every":8'
    out.write_text(f'{{{head},"recordings":[\n' + ",\n".join(lines) + "\n]}\n")


main(*sys.argv[1:])
