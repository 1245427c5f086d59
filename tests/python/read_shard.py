"""Opens a shard with pyarrow, pandas, Polars and DuckDB and compares its spectrograms
with .npy files: read_shard.py SHARD NPY_FOLDER README. Prints the number of rows."""

import json
import pathlib
import sys

import duckdb
import numpy as np
import pandas
import polars
import pyarrow.parquet as pq

shard, npy, readme = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]).read_text()

# The README's own snippet is what is tested.
snippet = readme.split("```python\n")[1].split("```")[0]
scope = {}
exec(snippet.replace("shard.parquet", shard), scope)
mel = scope["mel"]

table = pq.read_table(shard)
footer = {key.decode(): value.decode() for key, value in pq.read_metadata(shard).metadata.items() if key != b"ARROW:schema"}
assert json.loads(footer["voxage.spec"])["mel"]["storage"] == "u8", footer
assert int(footer["voxage.rows"]) + int(footer["voxage.rejects"]) == table.num_rows
assert table.schema.field("jitter").metadata[b"unit"] == b"1"
assert table.schema.field("spectral_centroid_mean").metadata[b"unit"] == b"Hz"

rows = table.to_pylist()
for row in rows:
    if row["status"] == "rejected":
        assert row["mel"] is None and row["code"]
        continue
    exact = np.load(npy / (pathlib.Path(row["path"]).stem + ".npy"))
    assert exact.dtype == np.float32 and exact.shape == (row["n_frames"], 128)
    stored = mel(row)
    assert stored.shape == exact.shape
    assert np.abs(stored - exact).max() <= 80 / 255 / 2 + 1e-3, np.abs(stored - exact).max()

ids = [row["id"] for row in rows]
energy = [row["energy"] for row in rows]
frames = pandas.read_parquet(shard)
assert frames["id"].tolist() == ids and len(frames["mel"][0]) == rows[0]["n_frames"] * 128
frames = polars.read_parquet(shard)
assert frames["id"].to_list() == ids and frames["energy"].to_list() == energy
answer = duckdb.sql(f"select id, energy, warnings, octet_length(mel) from '{shard}'").fetchall()
assert [(row[0], row[1]) for row in answer] == list(zip(ids, energy))
print(len(rows))
