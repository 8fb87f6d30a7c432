"""An evaluation on a cluster of two nodes, one of which is killed: the result is the same."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecnn
from edgecnn.errors import EdgeCnnError, MissingExtra
from edgecnn.export import asking, asking_on_ray
from edgecnn.preparation import prepared_chunks
from edgecnn.targets.board.target import detect

COUNT = 179
"""Test pictures of the digits: three chunks."""


@pytest.fixture
def cluster() -> Iterator[Any]:
    utils = pytest.importorskip("ray.cluster_utils")
    cores = {"num_cpus": detect().threads, "include_dashboard": False}
    found = utils.Cluster(initialize_head=True, head_node_args=cores)
    yield found
    found.shutdown()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that there are many, of which nothing is known from before."""
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path))
    monkeypatch.setattr(asking, "CHUNK", 8)
    monkeypatch.setattr(asking, "prepared_chunks", partial(prepared_chunks, size=8))


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_a_node_that_is_killed_changes_nothing(
    lenet5_bundle: Path, cluster: Any, wait_for: Callable[[Callable[[], Any], str], None]
) -> None:
    ray = pytest.importorskip("ray")
    second = cluster.add_node(num_cpus=detect().threads)
    cluster.wait_for_nodes()
    killed: list[int] = []

    def progress(done: int, count: int) -> None:
        assert count == COUNT
        if done >= 40 and not killed:
            wait_for(lambda: not ray.available_resources().get("CPU"), "both nodes at work")
            cluster.remove_node(second, allow_graceful=False)
            killed.append(done)

    alone = edgecnn.evaluate(lenet5_bundle, "digits")
    assert alone.reference is not None
    on_ray = edgecnn.evaluate(lenet5_bundle, "digits", ray=cluster.address, progress=progress)
    assert killed
    assert killed[0] < COUNT
    assert on_ray.to_json() == alone.to_json()


@pytest.mark.slow
def test_nodes_that_would_compute_otherwise_are_refused(
    lenet5_bundle: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGECNN_CACHE", str(tmp_path))
    monkeypatch.setattr(asking, "source_sha256", lambda: "of this machine")
    with pytest.raises(EdgeCnnError, match="not like this machine in its source"):
        edgecnn.evaluate(lenet5_bundle, "digits", reference=False, ray=cluster.address)


def test_a_bundle_is_shipped_whole(lenet5_bundle: Path, tmp_path: Path) -> None:
    bundle = edgecnn.Bundle.load(lenet5_bundle)
    networks = asking.Networks.open(bundle, [], reference=True, threads=2, self_check=False)
    there = asking_on_ray.Shipped.of(networks, 2).open(tmp_path)
    images = np.zeros((2, *bundle.preprocessing.shape[1:]), np.uint8)
    for own, theirs in zip(networks.answers(images), there.answers(images), strict=True):
        assert (own == theirs).all()


def test_without_ray_the_extra_is_named(
    lenet5_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"edgecnn\[ray\]"):
        edgecnn.evaluate(lenet5_bundle, "digits", reference=False, ray="local")
