"""Golden features of synthetic recordings: golden.py WAV_DIR OUT_JSON."""

import json
import pathlib
import sys

from oracle import compat, log_mel, samples_of

# Of a spectrogram every so many frames and bands are kept.
EVERY = 8


def main(wav_dir, out):
    golden = {}
    for path in sorted(pathlib.Path(wav_dir).glob("*.wav")):
        if path.stem.startswith("voice_"):
            continue
        mono, sound = samples_of(path)
        mel = log_mel(mono)
        cells = [[round(float(x), 4) for x in frame] for frame in mel[::EVERY, ::EVERY]]
        golden[path.stem] = {
            "n_frames": len(mel),
            "tabular": compat(mono, sound),
            "mel_every": EVERY,
            "mel_db": cells,
        }
    lines = [f"{json.dumps(name)}: {json.dumps(found)}" for name, found in golden.items()]
    pathlib.Path(out).write_text("{\n" + ",\n".join(lines) + "\n}\n")


main(*sys.argv[1:])
