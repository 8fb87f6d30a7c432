"""Work on a Ray cluster: its scheduling, its retries, its object store.

A node that goes away takes its tasks along, and Ray runs them again elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from edgecnn.errors import EdgeCnnError, require

RETRIES = 10
"""Of a task whose node or process went away; an error of its own is not tried again."""
AHEAD = 2
"""Tasks begun for each that can run at once."""

Item = TypeVar("Item")


@contextmanager
def cluster(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster: `local` is this machine, `auto` the one that runs here.

    Raises `MissingExtra`, and `EdgeCnnError` where no cluster answers.
    """
    ray = require("ray", what="--ray", package="Ray", extra="ray")
    own = not ray.is_initialized()
    if own:
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise EdgeCnnError(
                f"No Ray cluster at {address}: {error} Start one with `ray start --head`, or say "
                "--ray local."
            ) from None
    try:
        yield ray
    finally:
        if own:
            ray.shutdown()


def each(
    ray: Any, function: Callable[..., Any], shared: Any, items: Iterable[Item], cores: int
) -> Iterator[tuple[Item, Any]]:
    """`function(shared, item)` on the cluster for each item; as they are done, in any order.

    A task takes so many of a node's cores. `shared` goes to each node once. What a function raises
    is raised here.
    """
    task = ray.remote(num_cpus=cores, max_retries=RETRIES)(function)
    here = ray.put(shared)
    at_once = max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
    begun: dict[Any, Item] = {}
    for item in items:
        begun[task.remote(here, item)] = item
        if len(begun) > AHEAD * at_once:
            yield _next(ray, begun)
    while begun:
        yield _next(ray, begun)


def _next(ray: Any, begun: dict[Any, Item]) -> tuple[Item, Any]:
    (done, *_), _ = ray.wait(list(begun))
    try:
        result = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise EdgeCnnError(f"Ray gave up after {RETRIES} times: {error}") from None
    return begun.pop(done), result
