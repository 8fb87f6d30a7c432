"""Whether the calibration pictures sufficed, told on pictures of which it is known."""

from pathlib import Path

import numpy as np
import pytest

from edgecnn.checkpoint import Checkpoint
from edgecnn.export import network as networks
from edgecnn.export.folding import fold
from edgecnn.export.heads import with_head
from edgecnn.export.held_out import HeldOut
from edgecnn.export.recipe import Quantiser, Recipe
from edgecnn.export.statistics import Range
from edgecnn.export.sufficiency import Sufficiency, judge, without_few
from edgecnn.head import SOFTMAX
from edgecnn.pictures import Picture, list_pictures, prepare

RECIPE = Recipe("minmax")
COUNT = 40


@pytest.fixture(scope="module")
def network(lenet5_run: Path) -> networks.Network:
    """LeNet-5, trained on digits."""
    return networks.of_checkpoint(Checkpoint.load(lenet5_run))


@pytest.fixture(scope="module")
def digits(lenet5_run: Path, network: networks.Network) -> np.ndarray:
    """Pictures (2 * COUNT, H, W, C): the first half calibrates, the second judges."""
    files = list_pictures(Checkpoint.load(lenet5_run).calibration)[: 2 * COUNT]
    return prepare([Picture(file) for file in files], network.preprocessing)


def judged(network: networks.Network, seen: np.ndarray, judges: np.ndarray) -> Sufficiency:
    graph = fold(with_head(network.graph)[0], network.preprocessing)
    quantiser = Quantiser(graph, seen)
    held_out = HeldOut(judges, network.answers(judges), None)
    names = [Picture(Path(f"{number}.png")) for number in range(len(seen))]
    found = judge(quantiser, RECIPE, quantiser.quantise(RECIPE), names, held_out, SOFTMAX)
    assert found is not None
    return found


def test_pictures_that_resemble_each_other_suffice(
    network: networks.Network, digits: np.ndarray
) -> None:
    found = judged(network, digits[:COUNT], digits[COUNT:])
    assert found.sufficed
    assert (found.pictures, found.judged_on) == (COUNT, 20)  # every second of 40, for 32 at most
    assert found.lines[0].startswith("Calibration pictures sufficed: ")
    assert not found.decided


def test_half_that_is_unlike_the_rest_shows_that_more_would_help(
    network: networks.Network, digits: np.ndarray
) -> None:
    seen = digits[:COUNT].copy()
    seen[::2] //= 8  # so dark that their ranges clip whatever is not
    found = judged(network, seen, digits[COUNT:])
    assert not found.sufficed
    assert found.kl_of_half > 2 * found.kl
    assert found.wider_by_a_tenth > found.ranges / 2
    assert found.lines[0].startswith("More calibration pictures would help: ")


def test_the_one_picture_that_decides_ranges_is_named(
    network: networks.Network, digits: np.ndarray
) -> None:
    seen = digits[:COUNT] // 8
    seen[7] = digits[7]
    found = judged(network, seen, digits[COUNT:])
    assert found.decided[0].wider > 2
    assert {name for one in found.decided for name in one.pictures} == {"7.png"}
    assert found.lines[1].startswith("7.png makes the range of ")


def test_what_few_pictures_widen() -> None:
    even = np.tile(np.array([-1, 2], np.float32), (100, 1))
    assert without_few(even, Range(-1, 2)) == (1.0, [])
    odd = even.copy()
    odd[[3, 60]] = [[-1, 5], [-4, 2]]
    assert without_few(odd, Range(-4, 5)) == (3.0, [3, 60])
    assert without_few(odd, Range(-1, 2)) == (1.0, [])  # what was clipped decides nothing
    odd[[10, 11]] = [-1, 5]
    assert without_few(odd, Range(-1, 5)) == (1.0, [])  # three are more than one in fifty
