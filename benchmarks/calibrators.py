"""The temperature beside other ways to calibrate, cross-fitted on the same answers.

    python benchmarks/calibrators.py FILE

`FILE` is what `python -m benchmarks.calibration --save` wrote. In an environment that has netcal,
which edgecnn needs not: nothing of edgecnn is used here. Five folds; no picture is judged by a
calibrator that it had a part in. For each engine and way: calibration error (15 bins), the
likelihood's loss, and how many of the best labels change.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from netcal.binning import IsotonicRegression  # type: ignore[import-not-found]
from netcal.metrics import ECE  # type: ignore[import-not-found]
from netcal.scaling import (  # type: ignore[import-not-found]
    BetaCalibration,
    LogisticCalibration,
    TemperatureScaling,
)

FOLDS, BINS = 5, 15
WAYS: dict[str, Callable[[], Any]] = {
    "temperature": TemperatureScaling,
    "vector (logistic)": LogisticCalibration,
    "beta": BetaCalibration,
    "isotonic": IsotonicRegression,
}


def cross_fitted(way: Callable[[], Any], values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Each fold by what the others give."""
    found = np.empty_like(values)
    fold = np.random.default_rng(0).permutation(len(values)) % FOLDS
    for number in range(FOLDS):
        fitted = way()
        fitted.fit(values[fold != number], classes[fold != number])
        found[fold == number] = fitted.transform(values[fold == number])
    return found


def main() -> None:
    """Measure all ways on all engines."""
    kept = np.load(sys.argv[1])
    classes = kept["classes"]
    for runtime in (name for name in kept if name != "classes"):
        values = kept[runtime].astype(float)
        show(runtime, "none", values, values, classes)
        for name, way in WAYS.items():
            show(runtime, name, cross_fitted(way, values, classes), values, classes)


def show(runtime: str, name: str, said: np.ndarray, raw: np.ndarray, classes: np.ndarray) -> None:
    """One line."""
    true = np.maximum(said[np.arange(len(classes)), classes], 1e-12)
    changed = int((said.argmax(axis=1) != raw.argmax(axis=1)).sum())
    right = (said.argmax(axis=1) == classes).mean()
    print(
        f"{runtime:12} {name:18} n {len(said)}  ECE {ECE(BINS).measure(said, classes):.4f}  "
        f"loss {-np.log(true).mean():.4f}  top-1 {right:.1%}, {changed} answers changed",
        flush=True,
    )


if __name__ == "__main__":
    main()
