"""Exporting takes little memory beyond the weights, however many pictures calibrate."""

import json
import subprocess
import sys

import pytest

MEASURED = """if True:
    import json, resource
    from edgecnn.quiet import import_keras
    import_keras()
    import keras
    import numpy as np
    from edgecnn.export.folding import fold
    from edgecnn.export.heads import with_probabilities
    from edgecnn.export.lowering import lower
    from edgecnn.export.recipe import Quantiser, Recipe
    from edgecnn.preprocessing import Preprocessing

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    model = keras.Sequential([
        keras.Input((64, 64, 3)),
        keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ])
    weights = 4 * model.count_params()
    preprocessing = Preprocessing(64, 64, mean=(127.5,), std=(127.5,))
    graph = fold(with_probabilities(lower(model)), preprocessing)
    images = np.random.default_rng(0).integers(0, 256, (400, 64, 64, 3), np.uint8)
    before = peak()
    quantiser = Quantiser(graph, images[:8])
    quantiser.observe()
    few = peak()
    Quantiser(graph, images).observe()
    many = peak()
    quantiser.quantise(Recipe())
    print(json.dumps([weights, before, few, many, peak()]))
"""


@pytest.fixture(scope="module")
def figures() -> list[int]:
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [int(figure) for figure in json.loads(done.stdout.splitlines()[-1])]


def test_calibration_does_not_copy_the_weights_many_times(figures: list[int]) -> None:
    weights, before, few, _, _ = figures
    assert weights > 130e6
    assert few - before < 1.4 * weights


def test_many_pictures_take_no_more_than_few(figures: list[int]) -> None:
    _, _, few, many, _ = figures
    assert many - few < 30e6


def test_quantising_makes_few_copies_of_the_weights(figures: list[int]) -> None:
    weights, before, _, _, last = figures
    assert last - before < 1.8 * weights
