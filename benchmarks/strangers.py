"""How well pictures of other things are told apart from those of a network's own.

    python -m benchmarks.strangers BUNDLE --data SOURCE --others NAME=DIR ... [--save FILE]
    python -m benchmarks.strangers FILE

`SOURCE` is what `edgecnn evaluate` takes: labelled pictures that the bundle's held-out ones have no
part in. Beside the folders of `--others`: digits, textures and noise. In every engine, AUROC with a
bootstrap interval, and how many strangers pass where 95% of its own do: by the largest probability,
by how far the best logit stands out, and, of a bundle exported with `--features`, by how near they
are to calibration pictures in these.

`--save` keeps what the float network itself gives, in Keras. Of that file, in an environment with
pytorch-ood, the second command prints the same for that library's detectors; those of features are
fitted to the calibration pictures, with the labels that the float network gives them.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

CROPS = 50
SIDE = 256
MOST = 250
"""Pictures of a folder."""


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", type=Path, help="the bundle, or what --save wrote")
    parser.add_argument("--data", help="labelled pictures")
    parser.add_argument("--others", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    if asked.path.is_file():
        by_pytorch_ood(asked.path)
    else:
        by_engines(asked.path, asked.data, asked.others, asked.save)


def auroc(own: np.ndarray, others: np.ndarray) -> float:
    """How often a picture of its own scores higher than another, ties counted half."""
    order = np.sort(np.concatenate([own, others]))
    low, high = np.searchsorted(order, own, "left"), np.searchsorted(order, own, "right")
    below = (low + high - 1) / 2 + 1
    return float((below.sum() - len(own) * (len(own) + 1) / 2) / (len(own) * len(others)))


def show(what: str, kind: str, score: str, own: np.ndarray, others: np.ndarray) -> None:
    """One line."""
    rng = np.random.default_rng(0)
    drawn = [auroc(rng.choice(own, len(own)), rng.choice(others, len(others))) for _ in range(500)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    passes = float((others >= np.quantile(own, 0.05)).mean())
    print(
        f"{what:12} {kind:12} {score:20} AUROC {auroc(own, others):.3f} [{low:.3f}, {high:.3f}]  "
        f"FPR@95 {passes:6.1%}  n {len(own)} + {len(others)}",
        flush=True,
    )


def by_engines(path: Path, data: str, others: list[str], save: Path | None) -> None:
    """All scores of an artifact, in every engine."""
    from benchmarks.answers import answers, labelled
    from edgecnn.bundle import Bundle
    from edgecnn.preprocessing import FramePreparer
    from edgecnn.reliability import Reliability, log_odds, prominence

    bundle = Bundle.load(path)
    own, _ = labelled(data, bundle)
    prepare = FramePreparer(bundle.preprocessing)
    folders = (other.partition("=")[::2] for other in others)
    kinds = made() | {name: pictures_of(Path(folder)) for name, folder in folders}
    sets = {"own": own} | {
        name: np.concatenate([prepare(frame).copy() for frame in frames])
        for name, frames in kinds.items()
    }
    ends = np.cumsum([len(images) for images in sets.values()])[:-1]

    def parts(values: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(sets, np.split(values, ends), strict=True))

    for found in answers(bundle, np.concatenate(list(sets.values()))):
        scores = {
            "largest probability": found.values.max(axis=1),
            "prominence": prominence(log_odds(found.values, bundle.head)),
        }
        known = Reliability.load(bundle, found.format)
        if found.features is not None and known is not None and known.neighbours is not None:
            near = [known.neighbours.nearness(one) for one in found.features]
            scores["nearness (features)"] = np.array(near)
        for kind in list(sets)[1:]:
            for name, values in scores.items():
                of = parts(values)
                show(found.runtime, kind, name, of["own"], of[kind])
    if save is not None:
        np.savez(save, **float_answers(bundle, sets))


def made() -> dict[str, list[np.ndarray]]:
    """What is no picture of anything: digits, textures, noise."""
    import cv2
    import skimage
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(0)
    digits = [
        cv2.cvtColor(cv2.resize((d * 15.9).astype(np.uint8), (SIDE, SIDE)), cv2.COLOR_GRAY2BGR)
        for d in load_digits().images[: 3 * CROPS]
    ]
    textures = []
    for name in ("brick", "grass", "gravel"):
        whole = cv2.imread(str(Path(skimage.__file__).parent / "data" / f"{name}.png"))
        assert whole is not None
        for _ in range(CROPS):
            top, left = (int(rng.integers(0, length - SIDE)) for length in whole.shape[:2])
            textures.append(whole[top : top + SIDE, left : left + SIDE])
    noise = [rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8) for _ in range(3 * CROPS // 2)]
    noise += [cv2.normalize(cv2.GaussianBlur(n, (0, 0), 6), n, 0, 255, 32) for n in noise]
    return {"digits": digits, "textures": textures, "noise": noise}


def pictures_of(folder: Path) -> list[np.ndarray]:
    """Frames of a folder, evenly spread."""
    from edgecnn.pictures import list_pictures, read_picture

    found = list_pictures(folder)
    return [read_picture(path) for path in found[:: max(1, len(found) // MOST)][:MOST]]


def float_answers(bundle: Any, sets: dict[str, np.ndarray]) -> dict[str, Any]:
    """What the float network's last layer reads and gives, and its weights."""
    import keras

    from edgecnn.calibration.calibration_set import CalibrationSet
    from edgecnn.checkpoint import Checkpoint
    from edgecnn.pictures import prepare

    run = Checkpoint.load(bundle.path / bundle.manifest["reference"]["file"])
    model = run.load_model()
    last = next(layer for layer in model.layers[::-1] if isinstance(layer, keras.layers.Dense))
    before = keras.Model(model.input, last.input)
    kernel, bias = (np.asarray(values) for values in last.weights)
    pictures = CalibrationSet.load(run.calibration).pictures
    found: dict[str, Any] = {"kernel": kernel, "bias": bias}
    for name, images in (sets | {"calibration": prepare(pictures, bundle.preprocessing)}).items():
        features = [
            np.asarray(before(bundle.preprocessing.normalise(images[n : n + 16]), training=False))
            for n in range(0, len(images), 16)
        ]
        found[f"features/{name}"] = np.concatenate(features)
    return found


def by_pytorch_ood(file: Path) -> None:
    """Detectors of logits, and of features."""
    for name, score, kept in _detectors(file):
        own = -np.asarray(score(kept["own"]))
        for kind in kept:
            if kind not in ("own", "calibration"):
                show("pytorch-ood", kind, name, own, -np.asarray(score(kept[kind])))


def _detectors(file: Path) -> Iterator[tuple[str, Callable[[Any], Any], dict[str, Any]]]:
    import torch
    from pytorch_ood import detector  # type: ignore[import-not-found]

    found = np.load(file)
    kernel, bias = (torch.from_numpy(found[name]) for name in ("kernel", "bias"))
    names = [key for key in found if key.startswith("features/")]
    features = {key.partition("/")[2]: torch.from_numpy(found[key]) for key in names}
    logits = {kind: values @ kernel + bias for kind, values in features.items()}
    known = features["calibration"]
    labels = logits["calibration"].argmax(dim=1)
    for name in ("MaxSoftmax", "MaxLogit", "EnergyBased", "Entropy"):
        kind = getattr(detector, name)
        yield name, getattr(kind, "score", kind), logits
    # As many neighbours as edgecnn looks at, and the paper's number.
    of_features = {
        "KNN, 3": detector.KNN(None, k=3),
        "KNN, 50": detector.KNN(None, k=50),
        "Mahalanobis": detector.Mahalanobis(None),
        "RMD": detector.RMD(None),
        "ViM": detector.ViM(None, min(len(known), len(kernel)) // 2, kernel.T, bias),
    }
    for name, fitted in of_features.items():
        fitted.fit_features(known, labels)
        yield name, fitted.predict_features, features


if __name__ == "__main__":
    main()
