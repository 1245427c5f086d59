#!/usr/bin/env python3
"""The training step of `seed-cnn-mlp` beside stock PyTorch's, on the CPU.

    tests/bench/steps.py TARGET/release/examples/steps [THREADS]

Both do the same steps (batches of 32, AdamW, no dropout) on the same random data from the same
weights, in turns, each in a process of its own. Prints the medians over all rounds and their ratio,
and the largest difference between the losses of the first 20 steps."""
import json, pathlib, statistics, subprocess, sys, tempfile, time

ROUNDS, STEPS, BATCH, DATA, INPUTS = 5, 20, 32, 4, 15
CHANNELS, IMAGE, TABLE, HEAD = [32, 64, 128], 128, [64, 32], 64


def model():
    import torch
    from torch import nn

    class Seed(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [1, *CHANNELS]
            self.conv = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:]))
            side = 128 >> len(CHANNELS)
            self.image = nn.Linear(CHANNELS[-1] * side * side, IMAGE)
            widths = [INPUTS, *TABLE]
            self.table = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
            self.head = nn.Linear(IMAGE + TABLE[-1], HEAD)
            self.age = nn.Linear(HEAD, 1)

        def forward(self, x, t):
            for conv in self.conv:
                x = torch.max_pool2d(torch.relu(conv(x)), 2)
            x = torch.relu(self.image(x.flatten(1)))
            for layer in self.table:
                t = torch.relu(layer(t))
            return self.age(torch.relu(self.head(torch.cat([x, t], 1)))).squeeze(1)

    torch.manual_seed(1)
    return Seed()


def named(seed):
    """The weights by their names in voxage."""
    return {f"weights/{name.replace('conv.', 'conv').replace('table.', 'table')}": weight.detach().contiguous()
            for name, weight in seed.named_parameters()}


def prepare(path):
    import torch
    from safetensors.torch import save_file
    seed = model()
    torch.manual_seed(2)
    data = {"images": torch.rand(DATA, BATCH, 1, 128, 128), "tables": torch.rand(DATA, BATCH, INPUTS),
            "targets": 3.4 + 0.4 * torch.randn(DATA, BATCH)}
    save_file({**data, **named(seed)}, path)


def torch_steps(path, threads):
    import torch
    from safetensors.torch import load_file
    torch.set_num_threads(threads)
    data, seed = load_file(path), model()
    optimizer = torch.optim.AdamW(seed.parameters(), lr=3e-4, weight_decay=1e-4)
    losses, ms = [], []
    for step in range(STEPS):
        start, i = time.perf_counter(), step % DATA
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(seed(data["images"][i], data["tables"][i]), data["targets"][i])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        ms.append((time.perf_counter() - start) * 1000)
    print(json.dumps({"losses": losses, "ms": ms}))


def main(ours, threads):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/data.safetensors"
        prepare(path)
        sides = {"voxage": [ours, path, str(STEPS), str(threads)],
                 "PyTorch": [sys.executable, __file__, "--torch", path, str(threads)]}
        ms, losses = {name: [] for name in sides}, {}
        for round in range(ROUNDS):
            for name in sorted(sides, reverse=round % 2 == 1):
                done = json.loads(subprocess.run(sides[name], capture_output=True, text=True, check=True).stdout)
                # The first steps make memory and choose kernels.
                ms[name].append(statistics.median(done["ms"][3:]))
                losses[name] = done["losses"]
    ours, theirs = (statistics.median(ms[name]) for name in ("voxage", "PyTorch"))
    ratios = [b / a for a, b in zip(ms["voxage"], ms["PyTorch"])]
    difference = max(abs(a - b) for a, b in zip(losses["voxage"], losses["PyTorch"]))
    print(f"| threads | voxage ms | PyTorch ms | ratio | largest difference of {STEPS} losses |\n|---|---|---|---|---|")
    print(f"| {threads} | {ours:.0f} | {theirs:.0f} | **{statistics.median(ratios):.2f}** "
          f"({min(ratios):.2f}–{max(ratios):.2f}) | {difference:.1e} |")


if __name__ == "__main__":
    if sys.argv[1] == "--torch":
        torch_steps(sys.argv[2], int(sys.argv[3]))
    else:
        main(str(pathlib.Path(sys.argv[1]).resolve()), int(sys.argv[2]) if len(sys.argv) > 2 else 2)
