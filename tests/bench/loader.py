"""The loader beside its peers, as Markdown.

    PYTHON=$(deploy/venv tests/bench/loader-requirements.txt)
    $PYTHON tests/bench/loader.py LOADER VOXAGE RECORDINGS FOLDER

LOADER is the data set's example `loader`. VOXAGE makes a data set of so many synthetic voices
in FOLDER, which is kept for the next time. All sides read the same samples, a window of 128
frames of each, bytes to normalised floats, in batches of 64, shuffled, on one core. In each
round every side goes through the data twice, each in a process of its own, and the second
time counts; each second round goes backwards. On one core processor time is measured, so that
other work on the machine disturbs little; from S3 the clock's.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SECONDS = 3.0
ROUNDS, BATCH, FRAMES, BANDS = 3, 64, 128, 128
OURS = "voxage"
MIN_DB = -80.0


def main(loader, voxage, recordings, folder):
    recordings, folder = int(recordings), pathlib.Path(folder) / recordings
    root, manifest = sealed(voxage, recordings, folder)
    shards = sorted((root / "datasets").rglob("*.parquet"))
    peers = folder / "peers"
    for name, (write, _) in PEERS.items():
        if not (peers / name / "whole").exists():
            (peers / name).mkdir(parents=True, exist_ok=True)
            child("write", name, shards[0].parent, peers / name)
            (peers / name / "whole").touch()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    sides = {OURS: lambda: ours(loader, root, manifest)}
    for name in PEERS:
        sides[name] = lambda name=name: child("read", name, shards[0].parent, peers / name)
    speeds = {side: [] for side in sides}
    for round_ in range(ROUNDS):
        for side in list(sides)[:: 1 if round_ % 2 == 0 else -1]:
            samples, seconds = sides[side]()
            assert samples == recordings, (side, samples)
            speeds[side].append(samples / seconds)
    print(f"{cpu()}, one core, in processor time. Samples a second, medians of {ROUNDS} rounds; in brackets the least and the greatest ratio of a round.\n")
    print("| side | MB on disk | samples/s | ratio |\n|---|---|---|---|")
    for side, all_ in speeds.items():
        place = shards[0].parent if side in (OURS, "pyarrow + torch") else peers / side
        size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / 1e6
        ratios = [mine / theirs for mine, theirs in zip(speeds[OURS], all_)]
        ratio = "" if side == OURS else f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"
        print(f"| {side} | {size:.0f} | {statistics.median(all_):,.0f} | {ratio} |", flush=True)
    os.sched_setaffinity(0, cores)
    from_s3(loader, recordings, root, manifest)


def sealed(voxage, recordings, folder):
    """The root of the data set and the key of its sealed manifest."""
    root, voices = folder / "root", folder / "voices"
    keys = sorted(root.glob("datasets/*/manifests/*.json"))
    if not keys:
        subprocess.run([voxage, "synth", voices, "--recordings", str(recordings), "--seconds", str(SECONDS)], check=True, stdout=sys.stderr)
        # The model does not matter here: the fastest there is.
        least = ["--architecture", "ridge", "--validation-share", "0", "--test-share", "0"]
        subprocess.run([voxage, "run", voices / "recordings.csv", "--root", root, *least], check=True, stdout=sys.stderr)
        keys = sorted(root.glob("datasets/*/manifests/*.json"))
    return root, str(keys[-1].relative_to(root))


def ours(loader, root, manifest):
    """Samples and processor seconds of the second of two passes."""
    passes = lines(loader, root, manifest, "2", "1")
    return int(passes[1][0]), float(passes[1][2])


def lines(*command):
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [line.split() for line in output.splitlines()]


def child(verb, name, shards, place):
    """What a process of this script says that reads or writes for one side."""
    output = subprocess.run([sys.executable, __file__, verb, name, shards, place], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def timed(loader_of):
    """Samples and processor seconds of the second of two passes."""
    import torch

    torch.set_num_threads(1)
    for _ in range(2):
        start, samples = time.process_time(), 0
        for images, ages in loader_of():
            assert images.dtype == torch.float32 and images.shape[1:] == (FRAMES, BANDS)
            samples += len(ages)
        seconds = time.process_time() - start
    return samples, seconds


def collate(samples):
    """Windows of bytes, with the scale, offset and age of each, to a batch of floats."""
    import numpy as np
    import torch

    cells = np.zeros((len(samples), FRAMES, BANDS), np.uint8)
    for cell, sample in zip(cells, samples):
        window = np.frombuffer(sample[0], np.uint8)[: FRAMES * BANDS].reshape(-1, BANDS)
        cell[: len(window)] = window
    scales, offsets, ages = torch.tensor([sample[1:4] for sample in samples], dtype=torch.float32).T
    factor = 1 / -MIN_DB
    images = torch.from_numpy(cells).to(torch.float32)
    images.mul_((scales * factor)[:, None, None]).add_(((offsets - MIN_DB) * factor)[:, None, None])
    return images, ages


def rows(shards):
    """Bytes, scale, offset and age of every recording."""
    import pyarrow.parquet as pq

    for shard in sorted(shards.glob("*.parquet")):
        columns = ["mel", "mel_scale", "mel_offset", "age_years"]
        table = pq.read_table(shard, columns=columns, use_threads=False)
        yield from zip(*(table[column].to_pylist() for column in columns))


def arrow_read(shards, _):
    import numpy as np
    import pyarrow.parquet as pq
    import torch

    class Shards(torch.utils.data.IterableDataset):
        def __iter__(self):
            files = sorted(shards.glob("*.parquet"))
            for place in np.random.permutation(len(files)):
                table = pq.read_table(files[place], columns=["mel", "mel_scale", "mel_offset", "age_years"], use_threads=False)
                mels = table["mel"].combine_chunks()
                if not hasattr(mels, "buffers"):
                    mels = mels.chunk(0)
                bounds = np.frombuffer(mels.buffers()[1], np.int32)
                data = memoryview(mels.buffers()[2])
                rest = [table[name].to_numpy() for name in ("mel_scale", "mel_offset", "age_years")]
                for row in np.random.permutation(len(mels)):
                    yield data[bounds[row] : bounds[row + 1]], *(column[row] for column in rest)

    dataset = Shards()
    return timed(lambda: torch.utils.data.DataLoader(dataset, BATCH, collate_fn=collate))


def webdataset_write(shards, place):
    import numpy as np
    import webdataset as wds

    with wds.ShardWriter(f"{place}/%06d.tar", maxcount=256, verbose=0) as writer:
        for number, (mel, *rest) in enumerate(rows(shards)):
            writer.write({"__key__": f"{number:06}", "mel": mel, "about": np.array(rest, np.float32).tobytes()})


def webdataset_read(_, place):
    import numpy as np
    import torch
    import webdataset as wds

    def sample(parts):
        return parts[0], *np.frombuffer(parts[1], np.float32)

    urls = sorted(map(str, place.glob("*.tar")))
    dataset = wds.WebDataset(urls, shardshuffle=len(urls)).shuffle(1000).to_tuple("mel", "about").map(sample)
    return timed(lambda: torch.utils.data.DataLoader(dataset, BATCH, collate_fn=collate))


COLUMNS = ("mel", "scale", "offset", "age")


def mosaic_write(shards, place):
    from streaming import MDSWriter

    types = dict(zip(COLUMNS, ("bytes", "float32", "float32", "float32")))
    with MDSWriter(out=str(place / "mds"), columns=types) as writer:
        for row in rows(shards):
            writer.write(dict(zip(COLUMNS, row)))


def mosaic_read(_, place):
    import torch
    from streaming import StreamingDataset

    dataset = StreamingDataset(local=str(place / "mds"), batch_size=BATCH, shuffle=True)
    together = lambda samples: collate([tuple(sample[name] for name in COLUMNS) for sample in samples])
    return timed(lambda: torch.utils.data.DataLoader(dataset, BATCH, collate_fn=together))


def lit_write(shards, place):
    import litdata

    litdata.optimize(fn=tuple, inputs=list(rows(shards)), output_dir=str(place / "lit"), chunk_bytes="64MB", num_workers=1)


def lit_read(_, place):
    import litdata

    dataset = litdata.StreamingDataset(str(place / "lit"), shuffle=True)
    return timed(lambda: litdata.StreamingDataLoader(dataset, batch_size=BATCH, collate_fn=collate))


PEERS = {
    "LitData": (lit_write, lit_read),
    "pyarrow + torch": (lambda shards, place: None, arrow_read),
    "MosaicML Streaming": (mosaic_write, mosaic_read),
    "WebDataset": (webdataset_write, webdataset_read),
}


def from_s3(loader, recordings, root, manifest):
    """Our side from an S3 server on this machine, with nothing cached, and then once more."""
    import boto3

    script = pathlib.Path(__file__).parents[2] / "deploy/servers/s3"
    with tempfile.TemporaryDirectory() as folder:
        started = subprocess.run([script, "start", folder], check=True, stdout=subprocess.PIPE, text=True).stdout
        try:
            env = dict(line.removeprefix("export ").split("=", 1) for line in started.splitlines())
            os.environ.update(env)
            client = boto3.client("s3", endpoint_url=env["AWS_ENDPOINT_URL_S3"])
            for file in root.rglob("datasets/**/*"):
                if file.is_file():
                    client.upload_file(str(file), "voxage", f"b/{file.relative_to(root)}")
            base = [loader, "s3://voxage/b", manifest]
            cold, warm, gets = [], [], []
            for number in range(3):
                size, seconds = lines(*base, "get")[0]
                gets.append(int(size) / 1e6 / float(seconds))
                cache = f"{folder}/cache{number}"
                passes = lines(*base, "2", "2", cache)
                size = float(size) / 1e6
                cold.append((recordings / float(passes[0][1]), size / float(passes[0][1])))
                warm.append((recordings / float(passes[1][1]), size / float(passes[1][1])))
        finally:
            subprocess.run([script, "stop", folder], check=True)
    print("\nFrom an S3 server (SeaweedFS) on the same cores, by the clock, two threads, medians of 3:\n\n| what | samples/s | MB/s |\n|---|---|---|")
    for what, all_ in (("the first pass, nothing cached, every digest checked", cold), ("the second pass", warm)):
        print(f"| {what} | {statistics.median(a for a, _ in all_):,.0f} | {statistics.median(b for _, b in all_):.0f} |")
    print(f"| the shards fetched and nothing else | | {statistics.median(gets):.0f} |")


def cpu():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


if __name__ == "__main__":
    if sys.argv[1] in ("read", "write"):
        verb, name, shards, place = sys.argv[1:]
        side = PEERS[name][verb == "read"]
        print(json.dumps(side(pathlib.Path(shards), pathlib.Path(place))))
    else:
        main(*sys.argv[1:])
