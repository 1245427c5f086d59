#!/usr/bin/env python3
"""How many samples a second are learned from on a GPU, beside PyTorch.

    tests/bench/gpu.py TARGET/release/examples/inputs TARGET/release/voxage FOLDER
        [--device cuda] [--batch 256] [--steps 200] [NAME …]

FOLDER keeps the data set of `loader.py`, which `voxage` makes if it is not there. For each network
(without names, `seed-cnn-mlp`): voxage on batches that are there already (synthetic), cut of a data set on the
device (resident) and streamed from its shards. What streamed input falls short of synthetic is the part of the
time that the device waits for data. With it `seed-cnn-mlp` in PyTorch, on batches that are there already, eager
and by torch.compile: mixed precision by bf16, TF32, fused AdamW, as voxage, which uses this PyTorch's
libraries."""
import argparse, json, os, statistics, subprocess, time
from pathlib import Path

from loader import sealed

ROUNDS, RECORDINGS, SEED = 3, 8192, "seed-cnn-mlp"


def voxage(given):
    root, manifest = sealed(given.voxage, RECORDINGS, given.folder / str(RECORDINGS))
    command = [given.inputs, root, manifest, given.device, given.batch, given.steps, *given.names]
    output = subprocess.run(map(str, command), env=environment(), check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines()]


def environment():
    """With the libraries of this PyTorch in sight."""
    import torch

    there = [f"{Path(torch.__file__).parent}/lib", os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(filter(None, there))} if torch.cuda.is_available() else None


def pytorch(given, compiled):
    import torch
    from steps import INPUTS, model

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    seed = model().to(given.device)
    optimizer = torch.optim.AdamW(seed.parameters(), lr=3e-4, weight_decay=1e-4, fused=True)
    images = torch.rand(given.batch, 1, 128, 128, device=given.device)
    tables = torch.rand(given.batch, INPUTS, device=given.device)
    ages = torch.rand(given.batch, device=given.device)
    network = torch.compile(seed) if compiled else seed

    def steps(n):
        for _ in range(n):
            optimizer.zero_grad()
            with torch.autocast(given.device, torch.bfloat16, enabled=given.device == "cuda"):
                loss = torch.nn.functional.mse_loss(network(images, tables).float(), ages)
            loss.backward()
            optimizer.step()
        # Waits for the device.
        return loss.item()

    steps(10)
    rates = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        steps(given.steps)
        rates.append(given.batch * given.steps / (time.perf_counter() - start))
    return statistics.median(rates)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("inputs")
    parser.add_argument("voxage")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("names", nargs="*", default=[SEED])
    given = parser.parse_intermixed_args()
    peers = [pytorch(given, False), pytorch(given, True)] if SEED in given.names else []
    print(f"Batches of {given.batch}, medians of {ROUNDS} rounds of {given.steps} steps.\n")
    print("| network | input | samples/s | of synthetic | × PyTorch eager | × torch.compile |\n|---|---|---|---|---|---|")
    synthetic = {}
    for line in voxage(given):
        name, rate = line["name"], line["samples_per_s"]
        whole = synthetic.setdefault(name, rate)
        ratios = [f"{rate / other:.2f}" if name == SEED else "" for other in peers or ["", ""]]
        print(f"| {name} | {line['input']} | {rate:,.0f} | {rate / whole:.1%} | {' | '.join(ratios)} |")
    for way, rate in zip(["eager", "compiled"], peers):
        print(f"| {SEED} in PyTorch, {way} | synthetic | {rate:,.0f} | | | |")


if __name__ == "__main__":
    main()
