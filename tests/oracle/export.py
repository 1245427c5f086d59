#!/usr/bin/env python3
"""Exported networks beside voxage itself: the same ages from TorchScript and from ONNX.

    tests/oracle/export.py TARGET/release/voxage

Trains small networks on synthetic voices, exports each, predicts the voices from the shards with the example
of the README, converts the export to ONNX and runs that by onnxruntime. All must agree within 1e-4 years,
relative to the age."""
import json, pathlib, re, subprocess, sys, tempfile, warnings

import numpy as np
import onnxruntime
import torch

TOP = pathlib.Path(__file__).resolve().parents[2]
WAYS = {
    "seed-cnn-mlp": ["--image", "first"],
    "se-resnet": ["--image", "random_crop", "--target", "age", "--scaling", "robust"],
    "ecapa": ["--image", "random_crop", "--target", "age", "--loss", "mean_variance"],
    "efficientnet-b0": ["--image", "first", "--target", "log_age"],
    "se-resnext50": ["--image", "first"],
    "seed-cnn-mlp ": ["--image", "resize"],
    "se-resnet ": ["--image", "resize", "--frames", "300"],
}


def call(*args):
    done = subprocess.run([*map(str, args), "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{args}: {done.stderr}")
    return json.loads(done.stdout)


def example():
    """The README's, as a function of a folder with an export and the path of a shard."""
    text = (TOP / "docs/export.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    return lambda folder, shard: run(code, {"folder": folder, "shard": shard})


def run(code, names):
    exec(code, names)  # what it documents is what is tested
    return names


def main():
    voxage = sys.argv[1]
    work = pathlib.Path(tempfile.mkdtemp(prefix="voxage-export-"))
    call(voxage, "synth", work / "voices", "--recordings", "24", "--seconds", "4")
    manifest = work / "voices/recordings.csv"
    root = work / "root"
    for architecture, settings in WAYS.items():
        model = call(voxage, "run", manifest, "--root", root, "--dataset", "d", "--architecture", architecture.strip(),
                     "--epochs", "20", "--learning-rate", "0.001", "--validation-share", "0", "--schedule", "constant", *settings)["model"]
        folder = work / architecture
        call(voxage, "models", "export", "age@newest", "--root", root, "--out", folder)
        expected = {one["id"]: one["age"] for one in
                    call(voxage, "predict", "--root", root, "--model", model, "--manifest", manifest)["predictions"]}
        shard = next((root / "datasets/d/shards").glob("*/*.parquet"))
        names = example()(folder, shard)
        ages = names["ages"]
        script = torch.jit.load(folder / "model.pt")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(script, names["inputs"], folder / "model.onnx", dynamo=False,
                              input_names=["mel", "valid", "table"])
        session = onnxruntime.InferenceSession(folder / "model.onnx")
        given = {one.name for one in session.get_inputs()}
        feeds = {name: value.numpy() for name, value in zip(["mel", "valid", "table"], names["inputs"]) if name in given}
        onnx = float(session.run(None, feeds)[0][0])
        last = list(ages)[-1]
        worst = max(abs(ages[name] - expected[name]) / expected[name] for name in expected)
        other = abs(onnx - ages[last]) / ages[last]
        spread = np.ptp(list(ages.values()))
        print(f"{architecture:16} {len(ages)} recordings, {spread:.2f} years apart, TorchScript within {worst:.1e}, ONNX within {other:.1e}", flush=True)
        if len(ages) != len(expected) or not max(worst, other) <= 1e-4:
            sys.exit("they differ")
        if spread < 0.05:  # ten times what they may differ by
            sys.exit("the network says the same of everyone: that proves nothing")


main()
