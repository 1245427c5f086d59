"""Golden tensors and features of timm's models with generated weights: timm_golden.py OUT_DIR.

workers/trainer/tests/timm.rs generates the same.
"""

import json
import math
import pathlib
import sys
import tempfile

import numpy as np
import safetensors.torch
import timm
import torch

# Ours, timm's, and the gain of generated weights: with less, what the first layers do is lost
# on the way; with more, every rounding error grows.
MODELS = [
    ("efficientnet-b0", "efficientnet_b0", 6.5),
    ("efficientnet-b1", "efficientnet_b1", 6.2),
    ("efficientnet-b2", "efficientnet_b2", 6.2),
    ("efficientnet-b3", "efficientnet_b3", 6.5),
    ("se-resnext50", "seresnext50_32x4d", 4.0),
    ("nfnet-f0", "dm_nfnet_f0", 4.0),
]
FRAMES, BANDS = 128, 160
# Features of an image that are kept, evenly spread.
KEPT = 24
MASK = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15


def mix(z):
    """What SplitMix64 makes of its states."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(name, shape):
    """Numbers from -1 to below 1 that follow from a name (FNV-1a), by voxage_dataset::Rng."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) & MASK
    first = np.array([((0x766F78616765 ^ seed) + STEP) & MASK], np.uint64)
    n = math.prod(shape)
    states = mix(first) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(STEP)
    numbers = (mix(states) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23)
    return torch.from_numpy(numbers - np.float32(1)).reshape(shape)


def generated(name, shape, gain):
    """A tensor that follows from its name and shape."""
    numbers = uniform(name, shape)
    last = name.rsplit(".", 1)[-1]
    if last == "running_var":
        return 1 + 0.5 * numbers
    if last in ("gain", "skipinit_gain") or (last == "weight" and len(shape) == 1):
        return 1 + 0.1 * numbers
    if last == "weight":
        return numbers * math.sqrt(gain / math.prod(shape[1:]))
    return 0.1 * numbers


def images(channels):
    """Noise, in the first image along rising frames, in the second, fainter, along bands."""
    noise = uniform("images", (2, channels, FRAMES, BANDS))
    noise[0] += torch.arange(FRAMES)[:, None] / FRAMES
    noise[1] = 0.5 * (noise[1] + torch.arange(BANDS) / BANDS)
    return noise


def features(model, channels):
    """Some pooled features, [2, KEPT]."""
    with torch.no_grad():
        pooled = model.eval().forward_head(model.forward_features(images(channels)), pre_logits=True)
    apart = (pooled[0] - pooled[1]).square().mean().sqrt() / pooled.square().mean().sqrt()
    assert apart > 0.1, f"features hardly depend on the image: {apart}"
    return pooled[:, :: pooled.shape[1] // KEPT][:, :KEPT].tolist()


def main(out):
    for ours, theirs, gain in MODELS:
        model = timm.create_model(theirs)
        counted = {name for name in model.state_dict() if name.endswith("num_batches_tracked")}
        shapes = {name: list(v.shape) for name, v in model.state_dict().items() if name not in counted}
        state = {name: generated(name, shape, gain) for name, shape in shapes.items()}
        model.load_state_dict(state | {name: torch.tensor(0) for name in counted})
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            safetensors.torch.save_file(state, file.name)
            # timm's own way from a checkpoint of three channels to one.
            overlay = {"file": file.name}
            one = timm.create_model(theirs, in_chans=1, pretrained=True, pretrained_cfg_overlay=overlay)
        golden = {
            "timm": f"{theirs} of timm {timm.__version__}",
            "classifier": model.pretrained_cfg["classifier"],
            "gain": gain,
            "tensors": shapes,
            "features": {"3": features(model, 3), "1": features(one, 1)},
        }
        text = json.dumps(golden, separators=(",", ":")).replace("],", "],\n")
        (out / f"{ours}.json").write_text(text + "\n")


main(pathlib.Path(sys.argv[1]))
