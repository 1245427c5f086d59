"""How far the extractor is from librosa and Praat on any recordings, as Markdown tables.

    PYTHON=$(deploy/venv tests/oracle/requirements.txt)
    $PYTHON tests/oracle/parity.py VOXAGE FILE...

VOXAGE is the built command. With the option --22050 every file is first rewritten as
16-bit WAV at the features' own rate, so that neither decoders nor resamplers take part.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import librosa
import numpy as np
import soundfile

from oracle import RATE_HZ, compat, log_mel, samples_of

# Of cells that differ by more than this the table gives the part, in dB.
FAR_DB = (0.01, 0.05)
# Bands above are shaped by how resamplers end their pass band: 10 kHz.
BANDS_BELOW_10_KHZ = 121


def main(args):
    own_rate = "--22050" in args
    voxage, *files = [arg for arg in args if arg != "--22050"]
    with tempfile.TemporaryDirectory() as folder:
        if own_rate:
            files = [rewritten(path, folder, i) for i, path in enumerate(files)]
        command = [voxage, "extract", "--json", "--mel-npy", folder, *files]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        errors, far, cells, n, unread = {}, np.zeros(len(FAR_DB)), 0, 0, []
        for path, ours in zip(files, found["recordings"]):
            try:
                mono, sound = samples_of(path)
                theirs = compat(mono, sound)
            except Exception as error:
                unread.append(f"{path}: {error}")
                continue
            if ours["status"] == "rejected":
                unread.append(f"{path}: {ours['message']}")
                continue
            n += 1
            for name, value in theirs.items():
                errors.setdefault(name, []).append((relative(ours["tabular"][name], value), path))
            mel = np.load(f"{folder}/{pathlib.Path(path).stem}.npy")[:, :BANDS_BELOW_10_KHZ]
            difference = np.abs(mel - log_mel(mono)[:, :BANDS_BELOW_10_KHZ])
            far += [(difference > db).sum() for db in FAR_DB]
            cells += difference.size
    print(f"{n} recordings\n\n| column | median | 99 % | largest | within 1e-4 | within 1e-3 | farthest |")
    print("|---|---|---|---|---|---|---|")
    for name, of_column in errors.items():
        sizes = np.array([size for size, _ in of_column])
        shares = [f"{np.mean(sizes <= limit):.1%}" for limit in (1e-4, 1e-3)]
        numbers = [f"{x:.1e}" for x in (np.median(sizes), np.quantile(sizes, 0.99), sizes.max())]
        farthest = pathlib.Path(max(of_column)[1]).name
        print("|", " | ".join([name, *numbers, *shares, farthest]), "|")
    for db, share in zip(FAR_DB, far / max(cells, 1)):
        print(f"\nmel cells below 10 kHz farther than {db} dB: {share:.4%}")
    for reason in unread:
        print(f"\nnot compared: {reason}")


def rewritten(path, folder, i):
    channels, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    channels = librosa.resample(channels.T, orig_sr=rate_hz, target_sr=RATE_HZ)
    out = f"{folder}/{i}_{pathlib.Path(path).stem}.wav"
    soundfile.write(out, channels.T.clip(-1, 1), RATE_HZ, subtype="PCM_16")
    return out


def relative(ours, theirs):
    if ours is None or theirs is None:
        return 0.0 if ours == theirs else np.inf
    return abs(ours - theirs) / max(abs(theirs), 1e-300) if ours != theirs else 0.0


main(sys.argv[1:])
