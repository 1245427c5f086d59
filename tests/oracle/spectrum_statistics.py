#!/usr/bin/env python3
"""Writes workers/trainer/src/gp/golden.json: the statistics of two made-up spectrograms by numpy
and scipy, every seventh number of each.

    tests/oracle/spectrum_statistics.py > workers/trainer/src/gp/golden.json      # numpy, scipy"""
import json

import numpy as np
from scipy.fft import dct


def mel(frames):
    frame, band = np.arange(frames)[:, None].astype(float), np.arange(128)[None].astype(float)
    wave = 20 * np.sin(frame * 0.21 + band * 0.05) + 8 * np.cos(frame * 0.73)
    speech = np.where((frame.astype(int) // 40) % 4 == 3, -50.0, 0.0)
    return (wave - band * 0.3 + speech - 30).astype(np.float32).astype(float)


def difference(c, weights, lag):
    """Sums c[t + lag·(i - n/2)] with weights; 0 where that is beyond an end."""
    reach = lag * (len(weights) // 2)
    out = np.zeros_like(c)
    n = len(c) - 2 * reach
    if n > 0:
        out[reach:-reach] = sum(w * c[i * lag:i * lag + n] for i, w in enumerate(weights))
    return out


def statistics(db):
    db = db - db.max()
    level = 10 * np.log10((10 ** (db / 10)).sum(1) + 1e-10)
    active = level > level.max() - 30
    if active.sum() < 20:
        active[:] = True
    c = dct(np.maximum(db, -60), norm="ortho", axis=1)[:, :40]
    m = c[:, :13]
    x = np.c_[m, difference(m, [-1, 0, 1], 4), difference(m, [1, -2, 1], 8)][active]
    r = np.cov(x.T)
    s = np.sqrt(np.diag(r)) + 1e-9
    r = 0.95 * r / s[:, None] / s + 0.05 * np.eye(39)
    w, v = np.linalg.eigh(r)
    log = (v * np.log(np.maximum(w, 1e-6 * w.max()))) @ v.T
    return {"dynamics": log[np.triu_indices(39, 1)][::7].tolist(), "timbre": c[active].mean(0)[::7].tolist()}


print(json.dumps({str(frames): statistics(mel(frames)) for frames in (12, 300)}))
