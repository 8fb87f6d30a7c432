"""A bundle opened in the engine that was asked for or chosen, and proven there."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgecnn.bundle import Bundle
from edgecnn.errors import BundleError, RuntimeUnavailable
from edgecnn.golden import Golden
from edgecnn.preprocessing import FramePreparer
from edgecnn.targets.board.target import Target
from edgecnn.targets.engines import runtimes
from edgecnn.targets.engines.session import Session

if TYPE_CHECKING:
    from edgecnn.targets.engines.trial import Tried

log = logging.getLogger(__name__)


def load_session(
    bundle: Bundle,
    board: Target,
    runtime: str,
    threads: int,
    *,
    fastest: "Tried | None" = None,
    self_check: bool = True,
) -> tuple[str, Session]:
    """The runtime that took the bundle, and its session.

    `auto` is the `fastest` where it is known, else the target's first. With `self_check` the
    bundle's golden pictures must get the answers they got at export. Raises `BundleError` and
    `RuntimeUnavailable`.
    """
    name, session = _open(bundle, board, runtime, threads, fastest=fastest)
    check_ends(bundle, session)
    if self_check:
        prove(bundle, name, session)
    return name, session


def check_ends(bundle: Bundle, session: Session) -> None:
    """Raise `BundleError` for a model that takes or gives other than its manifest says."""
    labels = len(bundle.labels)
    found = session.input_shape, session.classes, session.features
    expected = bundle.preprocessing.shape, bundle.head.outputs(labels), bundle.features
    if found != expected:
        raise BundleError(
            f"{bundle.path}: the model takes {list(found[0])} and gives {_given(*found[1:])}, "
            f"its manifest says {list(expected[0])} and {_given(*expected[1:])}, of {labels} "
            f"labels with the head '{bundle.head.kind}': export again."
        )


def _given(classes: int, features: int) -> str:
    return f"{classes} values" + (f" and {features} features" if features else "")


def prove(bundle: Bundle, runtime: str, session: Session) -> None:
    """Have an open session answer the bundle's golden pictures, where it has any.

    Raises what `Golden.check` raises.
    """
    if bundle.golden is not None:
        golden = Golden.load(bundle.golden)
        prepare = FramePreparer(bundle.preprocessing)
        format = runtimes.get(runtime).format
        golden.check(bundle, format, session.engine, prepare, session.infer)


def _open(
    bundle: Bundle,
    board: Target,
    runtime: str,
    threads: int,
    refused: tuple[str, ...] = (),
    fastest: "Tried | None" = None,
) -> tuple[str, Session]:
    name = runtime
    if runtime == "auto":
        name = fastest.runtime if fastest else choose_runtime(bundle, board, refused)
    engine = runtimes.get(name)
    if engine.format not in bundle.artifacts:
        raise RuntimeUnavailable(
            f"{name} runs {engine.format}, and {bundle.path} holds only "
            f"{', '.join(bundle.artifacts)}: export with --format {engine.format}."
        )
    try:
        return name, engine.open(bundle.model_file(engine.format), threads)
    except RuntimeUnavailable as error:
        # A GPU may be here and refuse this network: a robot goes on with the next best.
        if runtime != "auto" or name in runtimes.RUNTIMES:
            raise
        log.warning("edgecnn: %s is not used: %s", name, error)
        return _open(bundle, board, runtime, threads, (*refused, name))


def choose_runtime(bundle: Bundle, target: Target, refused: Sequence[str] = ()) -> str:
    """The target's first runtime that is installed and has its format in the bundle.

    Those that `refused` the network are passed over.
    """
    reasons = []
    for name in target.runtimes:
        if name in refused:
            reasons.append(f"{name}: refused this network")
        elif runtimes.get(name).format not in bundle.artifacts:
            reasons.append(f"{name}: {bundle.path} holds no {runtimes.get(name).format}")
        elif reason := runtimes.missing(name):
            reasons.append(f"{name}: {reason}")
        else:
            return name
    raise RuntimeUnavailable("No engine here runs this bundle. " + "; ".join(reasons))
