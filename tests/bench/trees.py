#!/usr/bin/env python3
"""Trees on the table, on the same folds as models.py: what they know, and what they add to the default.

    tests/bench/trees.py TARGET/release/voxage WORK [--sets both,so]

WORK is that of models.py, after it. Table and embedding are read from the shards of the newest sealed
version; each fold (SHA-256 of the speaker, modulo 5) is predicted by trees that learned from the others.
LightGBM: 300 trees of 15 leaves of 10 recordings or more, step 0.03. Extra trees: scikit-learn's, 500, with
leaves of 3. Means over 3 seeds. "with gp" is the mean of the trees' and the default model's predictions
under weights found on the other folds. Ranges as voxage's: 2,000 resamples of speakers."""
import argparse, csv, hashlib, json, pathlib, subprocess, tempfile

import lightgbm
import numpy as np
import pyarrow.parquet as pq
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LinearRegression

FOLDS, SEEDS, RESAMPLES = 5, 3, 2000


def recordings(root, dataset):
    """Ids, speakers, ages and inputs (table, gender, embedding) of the recordings that count."""
    sealed = json.loads(max((root / "datasets" / dataset / "manifests").iterdir()).read_text())
    ids, speakers, ages, inputs = [], [], [], []
    for shard in sealed["shards"]:
        table = pq.read_table(root / "datasets" / dataset / "shards" / sealed["spec_id"] / f"{shard['id']}.parquet")
        names = table.column_names
        tabular = names[names.index("mix") + 1:names.index("n_frames")]
        for i, row in enumerate(table.drop_columns("mel").to_pylist()):
            if row["status"] == "rejected" or row["age_years"] is None or i in shard.get("replaced", []):
                continue
            ids.append(row["id"])
            speakers.append(row["speaker"] or row["id"])
            ages.append(row["age_years"])
            numbers = [row[name] for name in tabular if name != "embedding"]
            numbers += [{"female": 0.0, "male": 1.0}.get(row["gender"])]
            inputs.append([np.nan if number is None else number for number in numbers] + list(row.get("embedding") or []))
    return ids, np.array(speakers), np.array(ages), np.array(inputs, float)


def boosted(seed):
    return lightgbm.LGBMRegressor(n_estimators=300, learning_rate=0.03, num_leaves=15, min_child_samples=10,
                                  subsample=0.8, subsample_freq=1, colsample_bytree=0.5, random_state=seed,
                                  deterministic=True, verbose=-1, n_jobs=2)


def extra(seed):
    return ExtraTreesRegressor(500, min_samples_leaf=3, random_state=seed, n_jobs=2)


def out_of_fold(make, inputs, ages, folds):
    """What learners that have not heard the fold say, [seeds, recordings]."""
    inputs = np.where(np.isnan(inputs), np.nanmedian(inputs, axis=0), inputs)
    said = np.zeros((SEEDS, len(ages)))
    for seed in range(SEEDS):
        for fold in range(FOLDS):
            learner = make(seed + 1).fit(inputs[folds != fold], ages[folds != fold])
            said[seed, folds == fold] = learner.predict(inputs[folds == fold])
    return said


def default(voxage, root, dataset, ids):
    """What the default model's study says."""
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        subprocess.run([voxage, "evaluate", "--root", root, "--dataset", dataset, "--cv", str(FOLDS),
                        "--architecture", "gp", "--out", file.name, "--json"], check=True, stdout=subprocess.DEVNULL)
        rows = {row["id"]: float(row["predicted"]) for row in csv.DictReader(open(file.name))}
    return np.array([rows[name] for name in ids])


def blended(said, other, ages, folds):
    """Shares of two predictors that were found on the other folds."""
    mixed = np.zeros(len(ages))
    for fold in range(FOLDS):
        used, held = folds != fold, folds == fold
        slope = LinearRegression(fit_intercept=False, positive=True).fit(
            (said - other)[used, None], (ages - other)[used]).coef_[0]
        share = min(slope, 1.0)
        mixed[held] = share * said[held] + (1 - share) * other[held]
    return mixed[None]


def rmse(said, ages, rows=slice(None)):
    return float(np.mean([np.sqrt(np.mean((one[rows] - ages[rows]) ** 2)) for one in said]))


def line(name, said, gp, ages, speakers):
    groups = [np.flatnonzero(speakers == speaker) for speaker in np.unique(speakers)]
    rng = np.random.default_rng(1)
    drawn = [np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(RESAMPLES)]
    low, high = np.quantile([rmse(said, ages, rows) for rows in drawn], [0.025, 0.975])
    less = rmse(said, ages) - rmse(gp[None], ages)
    less_low, less_high = np.quantile([rmse(said, ages, rows) - rmse(gp[None], ages, rows) for rows in drawn], [0.025, 0.975])
    mae = np.mean(np.abs(said - ages))
    r = np.mean([np.corrcoef(one, ages)[0, 1] for one in said])
    print(f"| {name} | {len(said)} | {rmse(said, ages):.2f} ({low:.2f} to {high:.2f}) | {mae:.2f} | {r:.2f} | "
          f"{less:+.2f} ({less_low:+.2f} to {less_high:+.2f}) |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("voxage")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--sets", default="both,so")
    given = parser.parse_args()
    root = given.work / "root"
    for name in given.sets.split(","):
        print(f"\n| {name} | seeds | RMSE (95 %) | MAE | r | less gp (95 %) |\n|---|---|---|---|---|---|")
        for suffix, words in [("", ""), ("-e", " + embedding")]:
            ids, speakers, ages, inputs = recordings(root, name + suffix)
            folds = np.array([int(hashlib.sha256(speaker.encode()).hexdigest(), 16) % FOLDS for speaker in speakers])
            gp = default(given.voxage, root, name + suffix, ids)
            line(f"gp{words}", gp[None], gp, ages, speakers)
            for kind, make in [("boosted trees", boosted), ("extra trees", extra)]:
                said = out_of_fold(make, inputs, ages, folds)
                line(kind + words, said, gp, ages, speakers)
                line(f"{kind} with gp{words}", blended(said.mean(axis=0), gp, ages, folds), gp, ages, speakers)


main()
