"""Which recordings of the data folder are compared, and how samples get another rate."""

import csv
import hashlib
import io
import pathlib
import struct

import soundfile

from oracle import RATE_HZ

MANIFESTS = {
    "polito": "polito/development.csv",
    "saa": "saa/recordings.csv",
    "speechocean762": "speechocean762/recordings.csv",
    "mixed_formats": "mixed_formats/recordings.csv",
}

# The oracles are no measure for these: e* are damaged, d08 is one sample, which soxr makes
# something else of than of one sample after silence, d12 holds NaN, which librosa refuses.
NOT_COMPARED = ("e", "d08", "d12")


def recordings(data, every=None):
    """The paths, relative to the data folder, of every so many recordings of each set."""
    found = []
    for name, manifest in MANIFESTS.items():
        folder = pathlib.Path(manifest).parent
        with open(pathlib.Path(data) / manifest, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if name == "mixed_formats":
            rows = [row for row in rows if not row["id"].startswith(NOT_COMPARED)]
        paths = [str(folder / row["path"]) for row in rows]
        found += paths[:: (every or {}).get(name, 1)]
    return found


def set_of(path):
    return pathlib.Path(path).parts[0]


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def coding(path):
    """How a file is coded, as far as it matters here."""
    try:
        subtype = soundfile.info(path).subtype
    except soundfile.LibsndfileError:
        return {".m4a": "AAC", ".webm": "Opus"}[path.suffix]
    lossy = {"MPEG_LAYER_III": "MP3", "VORBIS": "Vorbis", "OPUS": "Opus"}
    return lossy.get(subtype, "lossless")


def own_rate_recordings(data, every=None):
    """The lossless ones among the sets that hold nothing odd: `at_own_rate` can write them."""
    sets = ("polito", "speechocean762")
    paths = [path for path in recordings(data, every) if set_of(path) in sets]
    return [path for path in paths if coding(pathlib.Path(data, path)) == "lossless"]


def at_own_rate(path):
    """The bytes of a WAV file of the same samples, said to be of the features' own rate."""
    file = pathlib.Path(path).read_bytes()
    if file[:4] == b"fLaC":
        samples, _ = soundfile.read(io.BytesIO(file), dtype="int16", always_2d=True)
        wav = io.BytesIO()
        soundfile.write(wav, samples, RATE_HZ, format="WAV", subtype="PCM_16")
        return wav.getvalue()
    wav = bytearray(file)
    struct.pack_into("<I", wav, 24, RATE_HZ)
    return bytes(wav)
