#!/usr/bin/env python3
"""Every baseline, model and setting on the same folds: the table of docs/models.md.

    tests/bench/models.py TARGET/release/voxage DATA WORK [--seeds 3] [--sets both,so] [WAY …]

DATA has the folders polito, saa and speechocean762, whose audio is taken to stay as it is. `both` is
polito/development.csv and saa/recordings.csv together, `so` is speechocean762 alone. Everything is kept in
the folder WORK, so that what is done is not done again; one that was stopped goes on. Prints a Markdown
table for each set, with the paired difference to the original report's network without pretraining, as
far as that is measured."""
import argparse, csv, io, json, pathlib, subprocess, sys, time

FEATURES = ["--tabular", "compat,clean"]
EMBEDDING = ["--embedding", "resemblyzer"]
REPORT = ["--architecture", "seed-cnn-mlp", "--target", "log_age"]
SMALL = ["--frames", "256", "--image", "random_crop", "--windows", "8", "--epochs", "25"]
# Name, whether it has the embedding, and what is said to `voxage evaluate`. What learns without chance
# needs one seed only.
WAYS = [
    ("ridge", False, ["--architecture", "ridge"]),
    ("gp", False, ["--architecture", "gp"]),
    ("gp, log age", False, ["--architecture", "gp", "--target", "log_age"]),
    ("gp, age", False, ["--architecture", "gp", "--target", "age"]),
    ("trees", False, ["--architecture", "trees"]),
    ("seed-cnn-mlp", False, REPORT),
    ("… target age", False, [*REPORT[:2], "--target", "age"]),
    ("… loss huber", False, [*REPORT, "--loss", "huber"]),
    ("… loss mean-variance", False, [*REPORT[:2], "--target", "age", "--loss", "mean_variance"]),
    ("… loss ordinal", False, [*REPORT[:2], "--target", "age", "--loss", "ordinal"]),
    ("… rare ages count more", False, [*REPORT, "--lds-years", "3"]),
    ("… first 3 s", False, [*REPORT, "--image", "first"]),
    ("… random crops", False, [*REPORT, "--image", "random_crop", "--windows", "8"]),
    ("… SpecAugment", False, [*REPORT, "--augment-time-mask", "24", "--augment-band-mask", "16"]),
    ("… gain", False, [*REPORT, "--augment-gain-db", "6"]),
    ("… noise", False, [*REPORT, "--augment-noise-db", "3"]),
    ("… time shift", False, [*REPORT, "--augment-shift", "24"]),
    ("… mixup", False, [*REPORT, "--augment-mixup", "0.4"]),
    ("… EMA", False, [*REPORT, "--ema", "0.98"]),
    ("… constant learning rate", False, [*REPORT, "--schedule", "constant"]),
    ("… robust scaling", False, [*REPORT, "--scaling", "robust"]),
    ("… steps in bf16", False, [*REPORT, "--device", "cpu-bf16"]),
    ("… all recordings, to the end", False, [*REPORT, "--validation-share", "0"]),
    ("se-resnet", False, ["--architecture", "se-resnet", *SMALL]),
    ("ecapa", False, ["--architecture", "ecapa", *SMALL]),
    ("efficientnet-b0", False, ["--architecture", "efficientnet-b0", "--epochs", "25"]),
    ("efficientnet-b1", False, ["--architecture", "efficientnet-b1", "--epochs", "25"]),
    ("efficientnet-b2", False, ["--architecture", "efficientnet-b2", "--epochs", "25"]),
    ("efficientnet-b3", False, ["--architecture", "efficientnet-b3", "--epochs", "25"]),
    ("se-resnext50", False, ["--architecture", "se-resnext50", "--epochs", "15"]),
    ("nfnet-f0", False, ["--architecture", "nfnet-f0", "--epochs", "15"]),
    ("ridge + embedding", True, ["--architecture", "ridge"]),
    ("gp + embedding", True, ["--architecture", "gp"]),
    ("trees + embedding", True, ["--architecture", "trees"]),
    ("ecapa + embedding", True, ["--architecture", "ecapa", *SMALL]),
]
CERTAIN = {"ridge", "gp"}
SETS = {
    "both": [("polito", "development.csv"), ("saa", "recordings.csv")],
    "so": [("speechocean762", "recordings.csv")],
}


def manifest(data, work, name):
    """The recordings of a set, with ids of their own and the set as a column; whether they are new."""
    rows = []
    for folder, file in SETS[name]:
        for row in csv.DictReader(open(data / folder / file)):
            row = {key.lower(): value for key, value in row.items()}
            rows.append({"id": f"{folder}-{row['id']}", "path": f"{folder}/{row['path']}", "set": folder,
                         **{key: row[key] for key in ["age", "gender", "speaker", "num_words", "num_characters"]}})
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = work / f"{name}.csv"
    is_new = not path.exists() or path.read_text() != text.getvalue()
    path.write_text(text.getvalue())
    return path, is_new


def call(voxage, *args):
    done = subprocess.run([voxage, *map(str, args), "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"voxage {' '.join(map(str, args))} failed")
    return json.loads(done.stdout)


def bounded(value, digits=2):
    return f"{value['value']:.{digits}f} ({value['low']:.{digits}f} to {value['high']:.{digits}f})" if value else "–"


def line(name, findings, seconds, difference, report):
    scores = findings["scores"]
    paired = "–"
    if difference:
        paired = f"{difference['value']:+.2f} ({difference['low']:+.2f} to {difference['high']:+.2f})"
    r = scores["pearson"]
    r = f"{r['value']:.2f}" if r else "–"
    mae = f"{scores['mae']['value']:.2f}"
    return f"| {name} | {len(findings['seeds'])} | {bounded(scores['rmse'])} | {mae} | {r} | {paired} | {seconds:.0f} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("voxage")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", default="both,so")
    parser.add_argument("ways", nargs="*")
    given = parser.parse_intermixed_args()
    given.work.mkdir(parents=True, exist_ok=True)
    root = given.work / "root"
    for name in given.sets.split(","):
        table, is_new = manifest(given.data, given.work, name)
        for suffix, features in [("", FEATURES), ("-e", FEATURES + EMBEDDING)]:
            # Audio that was copied has another time of change: extracted again, it would begin all studies anew.
            if not is_new and any(root.glob(f"datasets/{name}{suffix}/manifests/*.json")):
                continue
            call(given.voxage, "run", table, "--audio-root", given.data, "--root", root, "--dataset", name + suffix,
                 "--model", "features", "--architecture", "ridge", *features)
        print(f"\n| {name} | seeds | RMSE (95 %) | MAE | r | less seed-cnn-mlp (95 %) | s |\n|---|---|---|---|---|---|---|")
        report = None
        for way, embedded, settings in sorted(WAYS, key=lambda one: one[0] != "seed-cnn-mlp"):
            if given.ways and way not in given.ways:
                continue
            seeds = 1 if settings[1] in CERTAIN else given.seeds
            start = time.monotonic()
            answer = call(given.voxage, "evaluate", "--root", root, "--dataset", name + ("-e" if embedded else ""),
                          "--cv", 5, "--seeds", seeds, *settings, *(["--against", report] if report else []))
            findings, against = answer["findings"], answer["against"]
            seconds = time.monotonic() - start
            # Checkpoints of large networks would fill the disk.
            call(given.voxage, "gc", "--root", root, "--grace-days", 0, "--delete")
            if way == "seed-cnn-mlp":
                report = findings["study"]
                for rival in findings["baselines"]:
                    scores, own = rival["scores"], rival["rmse"]
                    paired = {"value": -own["value"], "low": -own["high"], "high": -own["low"]} if own else None
                    r = f"{scores['pearson']:.2f}" if scores["pearson"] is not None else "–"
                    words = f"{paired['value']:+.2f} ({paired['low']:+.2f} to {paired['high']:+.2f})" if paired else "–"
                    print(f"| {rival['name']} | 1 | {scores['rmse']:.2f} | {scores['mae']:.2f} | {r} | {words} | |", flush=True)
            print(line(way, findings, seconds, against and against["rmse"][2], report), flush=True)


if __name__ == "__main__":
    main()
