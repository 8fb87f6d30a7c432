"""What answers are worth, on real pictures: every figure with its count and interval.

    python benchmarks/answers.py promises BUNDLE --data SOURCE
    python benchmarks/answers.py strangers BUNDLE --data SOURCE --others NAME=DIR ... [--save FILE]
    python benchmarks/answers.py alarms BUNDLE --data SOURCE [--days 30]
    python benchmarks/answers.py cost BUNDLE

`SOURCE` is what `edgecnn evaluate` takes: labelled pictures that the bundle's held-out ones have no
part in.

- promises: calibration error of every engine, as it is and calibrated; coverage at 90, 95 and 99%
  over 200 random divisions of the pictures into held-out ones and others, against the exact
  (beta-binomial) 95% interval;
- strangers: how well pictures of other things are told apart (AUROC, and how many of them pass
  where 95% of its own do), by familiarity and by the largest probability. `--save` writes the float
  network's logits for a library of the field in its own environment: see `pytorch_ood` below;
- alarms: false ones on a stream of scenes that stay for five seconds on average, and the delay
  until what `imagecorruptions` (ImageNet-C's functions) does to the pictures is told;
- cost: frame to label in one process, in turn: the engine's own answer, and all of it.

Of the strangers, with the environment that has pytorch-ood:

    python benchmarks/answers.py pytorch_ood FILE
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 30
STAY_S = 5.0
MOST = 2000
"""Pictures that a stream is made of."""


def auroc(own: np.ndarray, others: np.ndarray) -> float:
    """How often a picture of its own scores higher than another, ties counted half."""
    ranks = np.concatenate([own, others])
    order = np.sort(ranks)
    low, high = np.searchsorted(order, own, "left"), np.searchsorted(order, own, "right")
    below = (low + high - 1) / 2 + 1
    return float((below.sum() - len(own) * (len(own) + 1) / 2) / (len(own) * len(others)))


def told_apart(own: np.ndarray, others: np.ndarray) -> str:
    """AUROC with a bootstrap interval, and FPR@95."""
    rng = np.random.default_rng(0)
    drawn = [auroc(rng.choice(own, len(own)), rng.choice(others, len(others))) for _ in range(500)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    passes = float((others >= np.quantile(own, 0.05)).mean())
    return f"AUROC {auroc(own, others):.3f} [{low:.3f}, {high:.3f}]  FPR@95 {passes:.3f}"


def pytorch_ood(file: Path) -> None:
    """The same pictures by pytorch-ood's detectors, of the float network's logits."""
    import torch  # type: ignore[import-not-found]
    from pytorch_ood import detector  # type: ignore[import-not-found]

    found = np.load(file)
    kinds = sorted({key.partition("/")[2] for key in found if key.startswith("logits/")})
    own = torch.from_numpy(found["logits/own"])
    for name in ("MaxSoftmax", "MaxLogit", "EnergyBased", "Entropy"):
        kind = getattr(detector, name)
        score: Callable[[Any], Any] = getattr(kind, "score", kind)
        for other in kinds:
            if other != "own":
                logits = torch.from_numpy(found[f"logits/{other}"])
                strange = [-np.asarray(score(values)) for values in (own, logits)]
                print(f"{name:12} {other:12} {told_apart(*strange)}")


def engines(bundle: Any, images: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Runtime, format and answers of each engine that is here."""
    from edgecnn.targets.engines import runtimes

    for name in runtimes.RUNTIMES:
        runtime = runtimes.get(name)
        if runtime.format in bundle.artifacts:
            session = runtime.open(bundle.model_file(runtime.format), 2)
            answers = np.stack([session.infer(image[None]) for image in images])
            yield name, runtime.format, answers


def promises(bundle: Any, images: np.ndarray, classes: np.ndarray) -> None:
    """Calibration and coverage of every engine."""
    from scipy import stats

    from edgecnn.export.reliability import CalibrationError
    from edgecnn.reliability import SHARES, Rank, Reliability, TooFewPictures, of_each

    for name, format, values in engines(bundle, images):
        known = Reliability.load(bundle, format)
        assert known is not None
        calibrated = known.calibrated(values, bundle.head)
        same = (calibrated.argmax(axis=1) == values.argmax(axis=1)).all()
        errors = [CalibrationError.of(v, classes, bundle.head) for v in (values, calibrated)]
        shown = [f"{e.error:.4f} [{e.interval[0]:.4f}, {e.interval[1]:.4f}]" for e in errors]
        print(
            f"{name}: n {len(images)}, held-out {len(known.true)}, temperature "
            f"{known.temperature:.3f}, ECE {shown[0]} -> {shown[1]}, ratio "
            f"{errors[1].error / errors[0].error:.2f}, by chance {errors[1].chance:.4f}, "
            f"top-1 unchanged: {same}"
        )
        true = of_each(values, bundle.head)[np.arange(len(classes)), classes]
        rng = np.random.default_rng(0)
        half = len(true) // 2
        for share in SHARES:
            try:
                k = Rank.of(1 - share, half).k
            except TooFewPictures as error:
                print(f"{name}: coverage {share:.0%}: {error}")
                continue
            covered = []
            for _ in range(200):
                drawn = rng.permutation(true)
                lowest = np.sort(drawn[:half])[k - 1]
                covered.append(int((drawn[half:] >= lowest).sum()))
            rest = len(true) - half
            exact = stats.betabinom(rest, half + 1 - k, k)
            low, high = exact.ppf((0.025, 0.975))
            inside = np.mean([low <= hits <= high for hits in covered])
            print(
                f"{name}: coverage {share:.0%}: {np.mean(covered) / rest:.4f} over 200 divisions "
                f"({half} + {rest}); {inside:.1%} of them within the exact 95% interval "
                f"[{low / rest:.3f}, {high / rest:.3f}]"
            )


def pictures_of(folder: Path, most: int) -> list[np.ndarray]:
    """Frames of a folder, evenly spread."""
    from edgecnn.pictures import list_pictures, read_picture

    found = list_pictures(folder)
    return [read_picture(path) for path in found[:: max(1, len(found) // most)][:most]]


def made() -> dict[str, list[np.ndarray]]:
    """What is no picture of anything: digits, textures, noise."""
    import cv2
    import skimage
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(0)
    digits = [
        cv2.cvtColor(cv2.resize((d * 15.9).astype(np.uint8), (256, 256)), cv2.COLOR_GRAY2BGR)
        for d in load_digits().images[:150]
    ]
    textures = []
    for name in ("brick", "grass", "gravel"):
        whole = cv2.imread(str(Path(skimage.__file__).parent / "data" / f"{name}.png"))
        assert whole is not None
        for _ in range(50):
            top, left = rng.integers(0, whole.shape[0] - 256), rng.integers(0, whole.shape[1] - 256)
            textures.append(whole[top : top + 256, left : left + 256])
    noise = [rng.integers(0, 256, (256, 256, 3), np.uint8) for _ in range(75)]
    noise += [cv2.normalize(cv2.GaussianBlur(n, (0, 0), 6), n, 0, 255, 32) for n in noise]
    return {"digits": digits, "textures": textures, "noise": noise}


def strangers(bundle: Any, images: np.ndarray, others: list[str], save: Path | None) -> None:
    """Pictures of other things against those of its own."""
    from edgecnn.preprocessing import FramePreparer
    from edgecnn.reliability import familiarity

    kinds = made()
    kinds |= {n: pictures_of(Path(d), 250) for n, _, d in (o.partition("=") for o in others)}
    prepare = FramePreparer(bundle.preprocessing)
    prepared = {
        name: np.concatenate([prepare(frame).copy() for frame in frames])
        for name, frames in kinds.items()
    }
    everything = np.concatenate([images, *prepared.values()])
    ends = np.cumsum([len(images), *map(len, prepared.values())])[:-1]
    for name, _, values in engines(bundle, everything):
        own, *parts = np.split(values, ends)
        for kind, part in zip(prepared, parts, strict=True):
            for score, of in (("familiarity", familiarity), ("max-softmax", lambda v: v.max(1))):
                print(
                    f"{name:12} {kind:12} {score:12} {told_apart(of(own), of(part))}  "
                    f"n {len(own)} + {len(part)}"
                )
        limits = np.quantile(familiarity(own), 0.05)
        print(f"{name}: 5% of its own lie below {limits:.2f}")
    if save is not None:
        logits = np.split(float_logits(bundle, everything), ends)
        named = zip(("own", *prepared), logits, strict=True)
        arrays: dict[str, Any] = {f"logits/{name}": values for name, values in named}
        np.savez(save, **arrays)


def float_logits(bundle: Any, images: np.ndarray) -> np.ndarray:
    """What the float network's last layer gives before its softmax."""
    import keras

    from edgecnn.checkpoint import Checkpoint

    run = Checkpoint.load(bundle.path / bundle.manifest["reference"]["file"])
    model = run.load_model()
    last = next(layer for layer in model.layers[::-1] if isinstance(layer, keras.layers.Dense))
    features = keras.Model(model.input, last.input)
    kernel, bias = (np.asarray(values) for values in last.weights)
    batches = [
        np.asarray(features(bundle.preprocessing.normalise(images[n : n + 16]), training=False))
        for n in range(0, len(images), 16)
    ]
    return np.asarray(np.concatenate(batches) @ kernel + bias, np.float32)


def alarms(bundle: Any, images: np.ndarray, days: float) -> None:
    """False alarms without change, and delays with one."""
    import imagecorruptions  # type: ignore[import-untyped,import-not-found,unused-ignore]

    from edgecnn.targets.engines import runtimes
    from edgecnn.targets.live.alarm import AlarmOptions, Watch
    from edgecnn.usual import Usual, look, saying

    usual = Usual.load(bundle, "onnx")
    assert usual is not None
    session = runtimes.get("onnxruntime").open(bundle.model_file("onnx"), 2)

    def corrupted(image: np.ndarray, kind: str, severity: int) -> np.ndarray:
        coloured = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
        found = imagecorruptions.corrupt(coloured, corruption_name=kind, severity=severity)
        return np.ascontiguousarray(found[..., : image.shape[2]])

    def told(pictures: list[np.ndarray]) -> tuple[list[dict[str, float]], list[int]]:
        seen, labels = [], []
        for image in pictures:
            values = session.infer(np.ascontiguousarray(image)[None])
            seen.append(look(image) | saying(values, bundle.head))
            labels.append(int(bundle.head.decide(values)))
        return seen, labels

    def windows(watch: Watch, world: Any, count: int, rng: Any) -> Iterator[tuple[Any, Any]]:
        seen, labels = world
        shown = int(rng.integers(len(seen)))
        for _ in range(count):
            changes = (rng.random(40) > np.exp(-0.5 / STAY_S)).tolist()
            others = rng.integers(len(seen), size=40).tolist()
            for n in range(40):
                shown = others[n] if changes[n] else shown
                if n >= 20:
                    watch.sample(seen[shown], labels[shown])
            watch.conclude()
            yield watch.raised

    options = AlarmOptions(days)
    images = images[np.random.default_rng(2).permutation(len(images))[:MOST]]
    same = told(list(images))
    start = time.perf_counter()
    up, false, first = False, 0, None
    watch = Watch(usual, bundle.head, options)
    for n, raised in enumerate(
        windows(watch, same, int(options.windows), np.random.default_rng(0))
    ):
        if any(raised) and not up:
            false, first = false + 1, first if first is not None else (n, raised)
        up = any(raised)
    print(
        f"{days:g} days without change: {false} false alarms {first or ''}, "
        f"{time.perf_counter() - start:.0f} s"
    )

    rng = np.random.default_rng(1)
    some = images[rng.permutation(len(images))[:60]]
    changes: dict[str, list[np.ndarray]] = {}
    for kind in (
        "gaussian_noise",
        "defocus_blur",
        "motion_blur",
        "brightness",
        "contrast",
        "pixelate",
        "jpeg_compression",
    ):
        for severity in range(1, 6):
            changes[f"{kind} {severity}"] = [corrupted(image, kind, severity) for image in some]
    changes["darkness (a tenth)"] = [(image // 10).astype(np.uint8) for image in images]
    changes["upside down"] = [image[::-1] for image in images]
    changes["noise alone"] = [rng.integers(0, 256, images[0].shape, np.uint8) for _ in range(60)]
    labels = same[1]
    changes["one label alone"] = [
        i for i, own in zip(images, labels, strict=True) if own == labels[0]
    ]
    for name, pictures in changes.items():
        world = told(pictures)
        delays, said = [], []
        for run in range(10):
            rng = np.random.default_rng(run)
            watch = Watch(usual, bundle.head, options)
            for _ in windows(watch, same, 60, rng):
                pass
            for n, (camera, scene) in enumerate(windows(watch, world, 60, rng), start=1):
                if camera or scene:
                    delays.append(n * 20)
                    said.append(
                        "camera: " + ", ".join(camera) if camera else "scene: " + ", ".join(scene)
                    )
                    break
        when = (
            f"{np.median(delays):.0f} s median, {max(delays)} s at most"
            if delays
            else "never in 20 minutes"
        )
        most = max(set(said), key=said.count) if said else ""
        print(f"{name:24} {len(delays):2} of 10 told, {when}  {most}")


def cost(bundle: Any) -> None:
    """Frame to label with and without, in turn."""
    from edgecnn.reliability import Coverage
    from edgecnn.targets.answer import AnswerOptions, Said, reader
    from edgecnn.targets.captured import Captured
    from edgecnn.targets.classifier import Classifier, load
    from edgecnn.targets.live.alarm import AlarmOptions, Watch
    from edgecnn.usual import Usual

    raw = load(bundle.path, "onnxruntime", 1, answers=AnswerOptions(raw=True))
    # As it was before any of this: labels and the engine's own probabilities.
    read = reader(raw.head, bundle.labels, 5)
    raw._say = lambda values: Said(values, *read(values))
    full = load(
        bundle.path,
        "onnxruntime",
        1,
        answers=AnswerOptions(coverage=Coverage(0.9), reject=0.05),
    )
    full.session = raw.session  # two copies of the weights would differ in the cache
    usual = Usual.load(bundle, "onnx")
    assert usual is not None
    watch = Watch(usual, full.head, AlarmOptions(30))
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(8)]

    def once(classifier: Classifier, frame: Any, alarm: Watch | None) -> float:
        start = time.perf_counter()
        prediction = classifier.predict(Captured.now(frame, 0))
        if alarm is not None:
            alarm(prediction, classifier.image[0], time.monotonic())
        return time.perf_counter() - start

    times: dict[str, list[float]] = {"before": [], "all of it": []}
    for n in range(WARM_UP + 1500):
        pairs = [("before", raw, None), ("all of it", full, watch)]
        for name, classifier, alarm in pairs if n % 2 else pairs[::-1]:
            spent = once(classifier, frames[n % 8], alarm)
            if n >= WARM_UP:
                times[name].append(spent)
    before, after = np.array(times["before"]), np.array(times["all of it"])
    drawn = []
    for _ in range(1000):
        chosen = rng.integers(0, len(before), len(before))
        drawn.append(np.median(after[chosen]) / np.median(before[chosen]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    outputs = raw.infer(raw.image)
    alone = {
        name: 1e6 * min(_seconds(say, outputs) for _ in range(200))
        for name, say in (("before", raw._say), ("all of it", full._say))
    }
    print("reading the outputs alone, least of 200, us:", alone)
    print(
        f"frame to label, median of {len(before)}: {1e3 * np.median(before):.3f} ms before, "
        f"{1e3 * np.median(after):.3f} ms with all of it: "
        f"x {np.median(after) / np.median(before):.4f} [{low:.4f}, {high:.4f}]"
    )


def _seconds(say: Callable[[Any], Any], outputs: Any) -> float:
    start = time.perf_counter()
    say(outputs)
    return time.perf_counter() - start


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("promises", "strangers", "alarms", "cost", "pytorch_ood"))
    parser.add_argument("path", type=Path, help="the bundle, or what --save wrote")
    parser.add_argument("--data", help="labelled pictures")
    parser.add_argument("--others", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--days", type=float, default=30)
    asked = parser.parse_args()
    if asked.what == "pytorch_ood":
        pytorch_ood(asked.path)
        return
    from edgecnn.bundle import Bundle
    from edgecnn.export.evaluate import load as load_pictures

    bundle = Bundle.load(asked.path)
    if asked.what == "cost":
        cost(bundle)
        return
    pictures = load_pictures(asked.data, bundle)
    images, classes = np.concatenate([*pictures.chunks()]), pictures.truths
    if asked.what == "promises":
        promises(bundle, images, np.asarray(classes))
    elif asked.what == "strangers":
        strangers(bundle, images, asked.others, asked.save)
    else:
        alarms(bundle, images, asked.days)


if __name__ == "__main__":
    main()
