#!/usr/bin/env python3
"""What a hundred million recordings and a thousand workers come to: arithmetic from the
assumptions at the top, which can be changed on the command line (name=value).

    tests/bench/scale_model.py recordings=100e6 workers=1000"""
import math, sys

GIVEN = dict(
    recordings=100e6, workers=1000,
    task_recordings=256, part_recordings=10_240,  # as voxage cuts
    audio_s=10, real_time=1000,  # of a recording; of one slot, see docs/benchmarks.md
    row_bytes=110, shard_row_bytes=45_000,  # of a message; of a shard (u8 spectrogram, lz4)
    request_s=0.02, readers=16, list_keys=1000,  # of the store
    put_usd=5e-6, get_usd=4e-7, month_usd_per_gb=0.023,  # a usual price list
)
for argument in sys.argv[1:]:
    name, value = argument.split("=")
    if name not in GIVEN:
        sys.exit(f"no assumption '{name}': {', '.join(GIVEN)}")
    GIVEN[name] = float(value)
g = type("Given", (), GIVEN)

tasks = math.ceil(g.recordings / g.task_recordings)
parts = math.ceil(g.recordings / g.part_recordings)
slot_s = g.recordings * g.audio_s / g.real_time
# Rust's hash map: a power of two of buckets, at most 7/8 full, 17 bytes each; while it
# grows, the old half is there too.
buckets = 2 ** math.ceil(math.log2(g.recordings * 8 / 7))
lists = math.ceil(tasks / g.list_keys)
puts, gets = 2 * parts + tasks, 2 * tasks + tasks + 2 * parts
rows = [
    ("tasks, messages, shards", f"{tasks:,}"),
    ("bytes through the broker", f"{g.recordings * g.row_bytes / 1e9:.0f} GB, at most {20_000 * g.task_recordings * g.row_bytes / 1e9:.1f} GB at a time"),
    ("parts, plans", f"{parts:,} each"),
    ("extraction", f"{slot_s / 3600:,.0f} core-hours, {slot_s / g.workers / 60:.0f} minutes of {g.workers:,.0f} slots"),
    ("tasks a second", f"{tasks / (slot_s / g.workers):,.0f}, with {3 * tasks / (slot_s / g.workers):,.0f} requests to the store beside the audio's"),
    ("beats a second, to each coordinator and watcher", f"{g.workers:,.0f}"),
    ("memory of a coordinator that plans", f"{17 * buckets / 1e9:.1f} GB, {1.5 * 17 * buckets / 1e9:.1f} GB while it grows"),
    ("memory of the checks of a submission", "the same"),
    ("list calls of one look for shards", f"{lists:,}, {lists * g.request_s:.0f} s"),
    ("reading all footers, to seal and for status", f"{tasks * g.request_s / g.readers / 60:.0f} minutes"),
    ("the sealed manifest", f"{tasks * 150 / 1e6:.0f} MB of JSON"),
    ("shards", f"{g.recordings * g.shard_row_bytes / 1e12:.1f} TB, {g.recordings * g.shard_row_bytes / 1e9 * g.month_usd_per_gb:,.0f} $ a month"),
    ("requests", f"{puts * g.put_usd + gets * g.get_usd:.1f} $, and {g.recordings * g.get_usd:.0f} $ for the audio"),
]
print(f"| {g.recordings:,.0f} recordings, {g.workers:,.0f} workers of one slot | |\n|---|---|")
for name, value in rows:
    print(f"| {name} | {value} |")
