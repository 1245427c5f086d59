"""The extractor beside librosa, kaldi-native-fbank and Praat, as Markdown.

    PYTHON=$(deploy/venv tests/bench/requirements.txt)
    $PYTHON tests/bench/extract.py BENCH DATA

BENCH is the extractor's example `bench`, DATA the folder with the recordings. In each round
every side works through the same files; each second round goes backwards. One core is
measured in processor time, so that other work on the machine disturbs little; all cores by
the clock.
"""

import os

# One thread a side, before any library starts its own.
for _name in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"

import importlib.util
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import kaldi_native_fbank
import librosa
import numpy as np
import soundfile

sys.path.append(str(pathlib.Path(__file__).parent.parent / "oracle"))
from oracle import RATE_HZ, compat, log_mel, samples_of
from recordings import recordings, set_of

MEL, COMPAT, BOTH = '{"tabular":[]}', "{}", '{"tabular":["compat","clean"]}'
MEL_ROUNDS, COMPAT_ROUNDS = 5, 3
# Files of a set for the spectrogram, and for the Praat recipe, which takes far longer.
MEL_FILES, COMPAT_FILES = 60, 12
# What each group of columns is computed for: leaving it out tells its cost.
STAGES = {
    "pulses: jitter, shimmer": ["jitter", "shimmer"],
    "harmonicity: hnr": ["hnr"],
    "peaks and centroid": ["mean_pitch", "max_pitch", "min_pitch", "spectral_centroid_mean"],
    "tempo": ["tempo"],
    "level: energy, zero crossings, intervals": ["energy", "zcr_mean", "num_pauses", "silence_duration"],
}


def main(bench, data):
    sets = files_of_sets(pathlib.Path(data))
    # Praat starts threads whatever it is told: on one core they gain nothing.
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    print(f"{cpu()}, {len(cores)} cores. One core in processor time; medians; in brackets the least and the greatest ratio of a round.\n")
    mel_table(bench, sets)
    compat_table(bench, sets)
    os.sched_setaffinity(0, cores)
    own_tables(bench, sets)
    stage_table(bench, sets)


def files_of_sets(data):
    """For each set its files, those of polito by how they are coded."""
    sets = {}
    for path in recordings(data):
        if set_of(path) != "mixed_formats":
            is_wav = (data / path).read_bytes()[:4] == b"RIFF"
            name = "polito, WAV" if is_wav else "polito, MP3" if set_of(path) == "polito" else set_of(path)
            sets.setdefault(name, []).append(str(data / path))
    return sets


def some(files, n):
    """About `n` files, evenly spread."""
    return files[:: max(1, len(files) // n)][:n]


def mel_table(bench, sets):
    print("## Decoding, resampling and the log-mel spectrogram, one core\n")
    peers = {"librosa": of_each(librosa_mel), "kaldi-native-fbank": of_each(kaldi_fbank)}
    if importlib.util.find_spec("torchaudio"):
        peers["torchaudio"] = torchaudio_mel()
    peers["libsndfile, decoding only"] = of_each(soundfile.read)
    chosen = {name: some(files, MEL_FILES) for name, files in sets.items()}
    # As the data set has them, which is nearly all MP3 by length.
    chosen["polito, all its files"] = sets["polito, MP3"] + sets["polito, WAV"]
    ratio_table(chosen, MEL_ROUNDS, lambda files: ours(bench, MEL, files)[1], peers)


def compat_table(bench, sets):
    print("\n## Decoding, the spectrogram and all `compat` columns, one core\n")
    peers = {"librosa and Praat": of_each(recipe)}
    chosen = {name: some(files, COMPAT_FILES) for name, files in sets.items()}
    ratio_table(chosen, COMPAT_ROUNDS, lambda files: ours(bench, COMPAT, files)[1], peers)


def ratio_table(sets, n_rounds, own, peers):
    print("| set | files | audio s | voxage × real time |" + "".join(f" {peer} | ratio |" for peer in peers))
    print("|---" * (4 + 2 * len(peers)) + "|")
    for name, files in sets.items():
        audio_s = sum(soundfile.info(file).duration for file in files)
        sides = {"voxage": own} | peers
        # Once before, so that caches are warm and Python has compiled what it compiles.
        for side in sides.values():
            side(files[:2])
        seconds = {side: [] for side in sides}
        for i in range(n_rounds):
            for side in list(sides)[:: 1 if i % 2 == 0 else -1]:
                seconds[side].append(sides[side](files))
        speed = {side: audio_s / statistics.median(times) for side, times in seconds.items()}
        cells = [name, str(len(files)), f"{audio_s:.0f}", f"{speed['voxage']:.0f}"]
        for peer in peers:
            ratios = [theirs / mine for mine, theirs in zip(seconds["voxage"], seconds[peer])]
            ratio = f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"
            cells += [f"{speed[peer]:.0f}", ratio]
        print("|", " | ".join(cells), "|", flush=True)


def own_tables(bench, sets):
    print("\n## Both sets of columns, and all cores\n")
    n_cores = os.cpu_count()
    print(f"| set | compat, one core | compat + clean: times the time | {n_cores} cores × real time | part of {n_cores} × one core |")
    print("|---|---|---|---|---|")
    for name, files in sets.items():
        one, one_cpu, both, all_cores = [], [], [], []
        for _ in range(COMPAT_ROUNDS):
            seconds, cpu_s, audio_s, _ = ours(bench, COMPAT, files)
            one.append(seconds)
            one_cpu.append(cpu_s)
            all_cores.append(ours(bench, COMPAT, files, n_cores)[0])
            both.append(clean_seconds(bench, files))
        one, all_cores = statistics.median(one), statistics.median(all_cores)
        times = f"{statistics.median(both) / statistics.median(one_cpu):.2f}" if None not in both else "no set `clean` in this build"
        cells = [name, f"{audio_s / one:.0f}", times, f"{audio_s / all_cores:.0f}", f"{one / all_cores / n_cores:.2f}"]
        print("|", " | ".join(cells), "|", flush=True)
    print("\n## Memory, recordings of five minutes\n")
    print("| file | one thread MB | each further thread MB |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for file in five_minutes(pathlib.Path(folder), sets):
            peaks = [ours(bench, COMPAT, [str(file)] * 3 * n, n)[3] for n in (1, 2)]
            print(f"| {file.name} | {peaks[0] / 1024:.0f} | {(peaks[1] - peaks[0]) / 1024:.0f} |", flush=True)


def clean_seconds(bench, files):
    try:
        return ours(bench, BOTH, files)[1]
    except subprocess.CalledProcessError:
        return None


def stage_table(bench, sets):
    print("\n## Where the time goes, one core, ms for each second of audio\n")
    rows = {name: stages(bench, some(files, MEL_FILES)) for name, files in sets.items()}
    print("| stage | " + " | ".join(rows) + " | arithmetic, Mflop | at the core's peak |")
    print("|---" * (3 + len(rows)) + "|")
    peak = peak_gflops()
    for stage in next(iter(rows.values())):
        mflop = arithmetic_mflop(stage)
        limit = ["", ""] if mflop is None else [f"{mflop:.1f}", f"{mflop / peak[stage_bits(stage)]:.3f}"]
        print("|", " | ".join([stage, *(f"{times[stage]:.3f}" for times in rows.values()), *limit]), "|")
    print(f"\nThe core's peak, measured by multiplying matrices: {peak[32]:.0f} Gflop/s in single, {peak[64]:.0f} in double precision.")


def stages(bench, files):
    """Milliseconds a stage for each second of audio: differences between what is left out."""
    columns = [name for names in STAGES.values() for name in names]
    with tempfile.TemporaryDirectory() as folder:
        native, own_rate = pathlib.Path(folder, "native"), pathlib.Path(folder, "own_rate")
        wavs = {native: [], own_rate: []}
        for to in wavs:
            to.mkdir()
        for i, file in enumerate(files):
            samples, rate_hz = soundfile.read(file, dtype="int16")
            mono, _ = librosa.load(file, sr=RATE_HZ)
            for to, of_file, rate in ((native, samples, rate_hz), (own_rate, mono, RATE_HZ)):
                soundfile.write(to / f"{i}.wav", of_file, rate, subtype="PCM_16")
                wavs[to].append(str(to / f"{i}.wav"))
        runs = {
            "mel": (MEL, files, []),
            "native": (MEL, wavs[native], []),
            "own_rate": (MEL, wavs[own_rate], []),
            "compat": (COMPAT, files, []),
        } | {stage: (COMPAT, files, names) for stage, names in STAGES.items()}
        seconds = {run: [] for run in runs}
        for i in range(MEL_ROUNDS):
            for run in list(runs)[:: 1 if i % 2 == 0 else -1]:
                spec, of_run, given = runs[run]
                _, took, audio_s, _ = ours(bench, spec, of_run, given=given)
                seconds[run].append(1000 * took / audio_s)
    took = {run: statistics.median(times) for run, times in seconds.items()}
    of_columns = {stage: took["compat"] - took[stage] for stage in STAGES}
    return {
        "decoding": took["mel"] - took["native"],
        "resampling": took["native"] - took["own_rate"],
        "reading PCM and the mel spectrogram": took["own_rate"],
        **of_columns,
        "all": took["compat"],
    }


def stage_bits(stage):
    """Praat's measures are in double precision."""
    return 64 if stage.startswith(("pulses", "harmonicity")) else 32


def arithmetic_mflop(stage):
    """About what a second of audio at 16 kHz takes: the transforms, which dominate."""

    def real_fft(n):
        return 2.5 * n * np.log2(n)

    frames = RATE_HZ / 512
    # Both transforms of a block of 1280 samples, half of which are new.
    resampling = 16000 / 640 * (real_fft(1280) + real_fft(1764))
    # The transform, the window and the power of each bin, two triangles on each.
    mel = frames * (real_fft(2048) + 2048 + 3 * 1025 + 4 * 1025)
    # Two transforms of window and lags for each 10 ms: 40 ms, and half as many.
    pulses = 100 * 2 * real_fft(960)
    # Three of twice the 13.3 ms window.
    harmonicity = 100 * 3 * real_fft(432)
    flop = {
        "resampling": resampling,
        "reading PCM and the mel spectrogram": mel,
        "pulses: jitter, shimmer": pulses,
        "harmonicity: hnr": harmonicity,
        "peaks and centroid": frames * (4 * 1025 + 2 * 1025),
        "level: energy, zero crossings, intervals": 4 * RATE_HZ,
    }
    return flop[stage] / 1e6 if stage in flop else None


def peak_gflops():
    peak = {}
    for bits, kind in ((32, np.float32), (64, np.float64)):
        a = np.ones((1024, 1024), kind)
        times = []
        for _ in range(8):
            start = time.process_time()
            a @ a
            times.append(time.process_time() - start)
        peak[bits] = 2 * 1024**3 / min(times) / 1e9
    return peak


def five_minutes(folder, sets):
    """Recordings of five minutes as they come: FLAC and MP3 in mono, stereo WAV."""
    for set_name, name in (("speechocean762", "flac_16k.flac"), ("polito, MP3", "mp3_44k.mp3"), ("polito, WAV", "wav_48k_stereo.wav")):
        rates = [soundfile.info(file).samplerate for file in sets[set_name]]
        rate_hz = statistics.mode(rates)
        pieces = [soundfile.read(f)[0] for f, rate in zip(sets[set_name], rates) if rate == rate_hz]
        whole = np.concatenate(pieces)
        whole = np.tile(whole, (-(-300 * rate_hz // len(whole)),) + (1,) * (whole.ndim - 1))[: 300 * rate_hz]
        soundfile.write(folder / name, whole, rate_hz)
        yield folder / name


def ours(bench, spec, files, n_threads=1, given=()):
    """Seconds by the clock and of processors, of audio, and the greatest memory in kB."""
    command = [bench, spec, str(n_threads), ",".join(given)]
    done = subprocess.run(command, input="\n".join(files), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    seconds, cpu_s, audio_s, peak_kb = done.stdout.split()
    return float(seconds), float(cpu_s), float(audio_s), int(peak_kb)


def of_each(work):
    def run(files):
        start = time.process_time()
        for file in files:
            work(file)
        return time.process_time() - start

    return run


def librosa_mel(file):
    log_mel(librosa.load(file, sr=RATE_HZ)[0])


def recipe(file):
    mono, sound = samples_of(file)
    log_mel(mono)
    compat(mono, sound)


def kaldi_fbank(file):
    """Its own recipe at the native rate, without resampling: 80 bands every 10 ms."""
    samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = rate_hz
    options.frame_opts.dither = 0
    options.mel_opts.num_bins = 80
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(rate_hz, samples.mean(axis=1))
    fbank.input_finished()
    for i in range(fbank.num_frames_ready):
        fbank.get_frame(i)


def torchaudio_mel():
    import torch
    import torchaudio

    torch.set_num_threads(1)
    mel = torchaudio.transforms.MelSpectrogram(RATE_HZ, n_fft=2048, hop_length=512, n_mels=128, norm="slaney", mel_scale="slaney")
    to_db = torchaudio.transforms.AmplitudeToDB(top_db=80)

    def work(file):
        samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
        mono = torch.from_numpy(samples.mean(axis=1))
        to_db(mel(torchaudio.functional.resample(mono, rate_hz, RATE_HZ)))

    return of_each(work)


def cpu():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(": ")[1] for line in lines if line.startswith("model name"))


main(*sys.argv[1:])
