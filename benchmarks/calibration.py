"""What probabilities and promises of coverage are worth, in every engine of a bundle.

    python -m benchmarks.calibration BUNDLE --data SOURCE [--anew] [--save FILE]

`SOURCE` is what `edgecnn evaluate` takes: labelled pictures that the bundle's held-out ones have no
part in. Where there are no others, `--anew` fits the temperature on half of them and judges the
other half, and the other way round.

Calibration error as the engine gives it and calibrated, with 95% intervals, beside what a network
would show whose probabilities were perfect, by drawing its labels from them; coverage at 90, 95 and
99% over 200 random divisions of the pictures into held-out ones and others, against the exact
(beta-binomial) 95% interval. `--save` keeps it for `benchmarks/calibrators.py`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.answers import Answered, answers, labelled
from edgecnn.bundle import Bundle
from edgecnn.export.reliability import BINS, CalibrationError, Claims, temperature
from edgecnn.head import Head
from edgecnn.reliability import SHARES, Rank, Reliability, TooFewPictures, of_each, tempered

DRAWS = 1000
DIVISIONS = 200


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", required=True, help="labelled pictures")
    parser.add_argument("--anew", action="store_true", help="fit on halves of them")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    bundle = Bundle.load(asked.bundle)
    images, classes = labelled(asked.data, bundle)
    kept: dict[str, Any] = {"classes": classes}
    for found in answers(bundle, images):
        kept[found.runtime] = found.values
        if asked.anew:
            said = halves(found.values, classes, bundle.head)
        else:
            known = Reliability.load(bundle, found.format)
            assert known is not None, "the bundle is of before"
            said = known.calibrated(found.values, bundle.head)
        calibration(found, said, classes, bundle.head)
        coverage(found, classes, bundle.head)
    if asked.save:
        np.savez(asked.save, **kept)


def halves(values: np.ndarray, classes: Any, head: Head) -> np.ndarray:
    """Each half of the pictures by the temperature that the other half gives."""
    own = np.random.default_rng(0).permutation(len(values)) % 2 == 0
    found = np.empty_like(values)
    for judged in (own, ~own):
        wanted = np.eye(values.shape[1])[classes[~judged]]
        found[judged] = tempered(values[judged], temperature(values[~judged], wanted, head), head)
    return found


def calibration(found: Answered, said: np.ndarray, classes: Any, head: Head) -> None:
    """Before and after, and what perfect probabilities would show."""
    before, after = (CalibrationError.of(v, classes, head) for v in (found.values, said))
    right = (found.values.argmax(axis=1) == classes).mean()
    same = (said.argmax(axis=1) == found.values.argmax(axis=1)).all()
    floor = perfect(said, head)
    print(
        f"{found.runtime}: n {len(said)}, top-1 {right:.1%}, unchanged: {same}; ECE "
        f"{_shown(before)} -> {_shown(after)}, x {after.error / before.error:.2f}; perfect "
        f"probabilities: {floor.mean():.4f}, 95% of draws below {np.quantile(floor, 0.95):.4f}"
    )


def perfect(said: np.ndarray, head: Head) -> np.ndarray:
    """The error of so many pictures, were each answer right as often as these claim."""
    sure = Claims.of(said, said.argmax(axis=1), head).confidence.ravel()
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    rng = np.random.default_rng(0)
    gaps = (np.bincount(bins, sure - (rng.random(len(sure)) < sure), BINS) for _ in range(DRAWS))
    return np.array([np.abs(gap).sum() / len(sure) for gap in gaps])


def _shown(error: CalibrationError) -> str:
    return f"{error.error:.4f} [{error.interval[0]:.4f}, {error.interval[1]:.4f}]"


def coverage(found: Answered, classes: Any, head: Head) -> None:
    """Of random divisions, against what is exact."""
    true = of_each(found.values, head)[np.arange(len(classes)), classes]
    rng = np.random.default_rng(0)
    half = len(true) // 2
    rest = len(true) - half
    for share in SHARES:
        try:
            k = Rank.of(1 - share, half).k
        except TooFewPictures as error:
            print(f"{found.runtime}: coverage {share:.0%}: {error}")
            continue
        covered = []
        for _ in range(DIVISIONS):
            drawn = rng.permutation(true)
            lowest = np.sort(drawn[:half])[k - 1]
            covered.append(int((drawn[half:] >= lowest).sum()))
        low, high = stats.betabinom(rest, half + 1 - k, k).ppf((0.025, 0.975))
        inside = np.mean([low <= hits <= high for hits in covered])
        print(
            f"{found.runtime}: coverage {share:.0%}: {np.mean(covered) / rest:.4f} over "
            f"{DIVISIONS} divisions ({half} + {rest}); {inside:.1%} of them within the exact 95% "
            f"interval [{low / rest:.3f}, {high / rest:.3f}]"
        )


if __name__ == "__main__":
    main()
