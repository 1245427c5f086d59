"""How far the extractor is from librosa and Praat on the real recordings, as Markdown.

    PYTHON=$(deploy/venv tests/oracle/requirements.txt)
    $PYTHON tests/oracle/parity.py VOXAGE DECODE DATA
    $PYTHON tests/oracle/parity.py --itself DATA

VOXAGE is the built command, DECODE the extractor's example `decode`, DATA the folder with
the recordings. The second form says how far librosa is from itself, on the lossless ones as
they are beside the same at other levels. docs/parity.md says what the tables mean.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import librosa
import numpy as np
import soundfile

from oracle import compat, decoded, known, librosa_columns, log_mel, resampled, samples_of
from recordings import at_own_rate, coding, own_rate_recordings, recordings, set_of

# Not Praat's: it decodes MP3 itself and keeps what the encoder put around the recording.
FROM_SAMPLES = ("mean_pitch", "max_pitch", "min_pitch", "energy", "zcr_mean")
FROM_SAMPLES += ("spectral_centroid_mean", "tempo", "num_pauses", "silence_duration")
# These are equal or they are not; a small difference means nothing.
COUNTS = ("num_pauses", "tempo")
# Mel bands by what the ends of the resamplers' pass bands do to them: those below 10 kHz,
# those that reach into the transition, and the last two.
GROUPS = {"0–120": slice(0, 121), "121–124": slice(121, 125), "125": slice(125, 126)}
GROUPS |= {"126": slice(126, 127), "127": slice(127, 128)}
# Levels at which librosa is compared with itself.
GAINS = (0.97, 0.9, 0.83)


def main(voxage, decode, data):
    data = pathlib.Path(data)
    paths = recordings(data)
    codings = {path: coding(data / path) for path in paths}
    lossy = [path for path in paths if codings[path] != "lossless"]
    as_it_is = lambda path: (data / path).read_bytes()
    at_rate = lambda path: at_own_rate(data / path)
    with tempfile.TemporaryDirectory() as folder:
        voxage = Voxage(voxage, pathlib.Path(folder))
        beside_oracle("Lossless, at the features' own rate", 1e-4, voxage, own_rate_recordings(data), at_rate)
        lossless = [path for path in paths if codings[path] == "lossless"]
        beside_oracle("Lossless, as they are", 1e-3, voxage, lossless, as_it_is)
        beside_oracle("Lossy, as they are", 1e-3, voxage, lossy, as_it_is)
        for kind in sorted(set(codings[path] for path in lossy)):
            decoders(kind, voxage, decode, data, [path for path in lossy if codings[path] == kind])


def itself(data):
    """librosa's columns of recordings beside those of the same at other levels.

    Nothing that they measure changes, but for the energy, which goes with the square.
    """
    data = pathlib.Path(data)
    paths = [path for path in recordings(data) if coding(data / path) == "lossless"]
    tables = {gain: Table(1e-3) for gain in GAINS}
    for path in paths:
        channels, rate_hz = decoded(data / path)
        mono = librosa.to_mono(channels)
        features = lambda mono: (known(librosa_columns(mono)), log_mel(mono))
        columns, mel = features(resampled(mono, rate_hz))
        for gain, table in tables.items():
            others, other_mel = features(resampled(np.float32(gain) * mono, rate_hz))
            others["energy"] /= gain**2
            table.add(path, others, columns, other_mel, mel)
    for gain, table in tables.items():
        print(f"\n## librosa beside itself at {gain} of the level\n")
        table.print()


class Voxage:
    """The built command, with a folder to work in."""

    def __init__(self, command, folder):
        self.command, self.folder = command, folder

    def extract(self, files):
        """Of each of these bytes the file, what voxage says of it, and the spectrogram."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            folder = pathlib.Path(folder)
            paths = [folder / f"{i}.audio" for i in range(len(files))]
            for path, file in zip(paths, files):
                path.write_bytes(file)
            command = [self.command, "extract", "--json", "--mel-npy", folder, *paths]
            answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            for path, found in zip(paths, answer["recordings"]):
                is_read = found["status"] != "rejected"
                yield path, found, np.load(path.with_suffix(".npy")) if is_read else None


def beside_oracle(title, bar, voxage, paths, bytes_of):
    table = Table(bar)
    for path, (file, ours, mel) in zip(paths, voxage.extract([bytes_of(path) for path in paths])):
        if mel is None:
            table.unread.append(path)
        else:
            mono, sound = samples_of(file)
            table.add(path, ours["tabular"], compat(mono, sound), mel, log_mel(mono))
    print(f"\n## {title}\n")
    table.print()


def decoders(kind, voxage, decode, data, paths):
    """Ours of the file beside ours of what the reference decoder makes of it."""
    table, samples, lengths = Table(1e-3), [], []
    wav = voxage.folder / "decoded.wav"
    of_files = voxage.extract([(data / path).read_bytes() for path in paths])
    for path, (_, ours, mel) in zip(paths, of_files):
        if mel is None:
            table.unread.append(path)
            continue
        channels, rate_hz = decoded(data / path)
        soundfile.write(wav, channels.T, rate_hz, format="WAV", subtype="FLOAT")
        [(_, theirs, their_mel)] = voxage.extract([wav.read_bytes()])
        columns = {name: theirs["tabular"][name] for name in FROM_SAMPLES}
        table.add(path, ours["tabular"], columns, mel, their_mel)
        lengths.append(round(ours["duration_s"] * rate_hz) - channels.shape[1])
        found = subprocess.run([decode, data / path], stdout=subprocess.PIPE, check=True).stdout
        raw = np.frombuffer(found, np.float32).reshape(-1, len(channels))[:, 0]
        samples.append(difference(raw, channels[0]))
    print(f"\n## The decoder's part: {kind}\n")
    table.print()
    if lengths:
        print(f"\nSamples more than the reference has: {counted(lengths)}.")
    if samples:
        print(f"Samples before the reference's first one: {counted(at for at, _ in samples)}.")
        sizes = np.array([size for _, size in samples])
        print(f"Largest difference of a sample: median {np.median(sizes):.1e}, largest {sizes.max():.1e}.")


def difference(raw, reference):
    """Where in `raw` the reference starts, and how far its samples are at most."""
    middle, reach = len(reference) // 2, 4096
    first = max(middle - reach, 0)
    piece = reference[middle : middle + 8192].astype(np.float64)
    around = raw[first : middle + len(piece) + reach].astype(np.float64)
    energies = np.convolve(around**2, np.ones(len(piece)), "valid")
    distances = energies - 2 * np.correlate(around, piece, "valid")
    at = int(np.argmin(distances)) + first - middle
    ours, theirs = raw[max(at, 0) :], reference[max(-at, 0) :]
    n = min(len(ours), len(theirs))
    return at, np.abs(ours[:n] - theirs[:n]).max()


def counted(numbers):
    values, counts = np.unique(list(numbers), return_counts=True)
    return ", ".join(f"{value} ({count}×)" for value, count in zip(values, counts))


class Table:
    """Differences over recordings."""

    def __init__(self, bar):
        self.bar = bar
        self.paths, self.unread, self.n_frames_differ = [], [], []
        self.errors = {}
        self.cells = {group: [] for group in GROUPS}

    def add(self, path, ours, theirs, mel, their_mel):
        self.paths.append(path)
        for name, value in theirs.items():
            self.errors.setdefault(name, []).append(relative(ours[name], value))
        if len(mel) != len(their_mel):
            self.n_frames_differ.append(path)
        n = min(len(mel), len(their_mel))
        for group, bands in GROUPS.items():
            self.cells[group].append(np.abs(mel[:n, bands] - their_mel[:n, bands]).ravel())

    def print(self):
        sets = dict.fromkeys(set_of(path) for path in self.paths)
        counts = [f"{sum(set_of(path) == name for path in self.paths)} {name}" for name in sets]
        print(f"{len(self.paths)} recordings: {', '.join(counts)}.")
        for what, paths in (("Not read by voxage", self.unread), ("Another number of frames", self.n_frames_differ)):
            if paths:
                print(f"{what}: {', '.join(paths)}.")
        if not self.paths:
            return
        errors = {name: np.array(sizes) for name, sizes in self.errors.items()}
        print(f"\n| column | median | 99 % | largest | within {self.bar:.0e} | over 1 % | farthest |")
        print("|---|---|---|---|---|---|---|")
        for name, sizes in errors.items():
            numbers = [f"{x:.1e}" for x in (np.median(sizes), np.quantile(sizes, 0.99, method="lower"), sizes.max())]
            shares = [f"{np.mean(sizes <= self.bar):.1%}", str(np.sum(sizes > 0.01))]
            farthest = pathlib.Path(self.paths[sizes.argmax()]).name if sizes.max() > 0 else ""
            print("|", " | ".join([name, *numbers, *shares, farthest]), "|")
        within = np.all([sizes <= self.bar for name, sizes in errors.items() if name not in COUNTS], axis=0)
        print(f"\nAll columns but the counts within {self.bar:.0e}: {within.mean():.2%} of the recordings.")
        for name in COUNTS:
            print(f"{name} equal: {np.mean(errors[name] < 1e-9):.2%}.")
        for i, path in enumerate(self.paths):
            far = [f"{name} {sizes[i]:.1e}" for name, sizes in errors.items() if sizes[i] > self.bar]
            if far:
                print(f"- {path}: {', '.join(far)}")
        print("\n| mel bands | cells | median dB | 99 % | 99.9 % | largest | within 0.01 dB | within 0.05 dB |")
        print("|---|---|---|---|---|---|---|---|")
        groups = {group: np.concatenate(cells) for group, cells in self.cells.items()}
        groups = {"all": np.concatenate(list(groups.values()))} | groups
        for group, cells in groups.items():
            numbers = [f"{x:.1e}" for x in (*np.quantile(cells, (0.5, 0.99, 0.999)), cells.max())]
            shares = [f"{np.mean(cells <= db):.2%}" for db in (0.01, 0.05)]
            print("|", " | ".join([group, str(len(cells)), *numbers, *shares]), "|")


def relative(ours, theirs):
    if ours is None or theirs is None:
        return 0.0 if ours == theirs else np.inf
    return abs(ours - theirs) / max(abs(theirs), 1e-300) if ours != theirs else 0.0


itself(sys.argv[2]) if sys.argv[1] == "--itself" else main(*sys.argv[1:])
