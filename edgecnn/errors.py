"""Everything a user can do wrong, as one tree of exceptions.

EdgeCnnError                 exit 2: wrong use or bad input
├── UnknownName              a word that is not in a registry (suggests the nearest)
├── MissingExtra             a package of an optional extra is not installed
├── MissingLibrary           a package is installed and lacks a library of the system
├── DataError                pictures, labels or calibration sets
├── WeightsError             weights that do not fit the network
├── ExportError              a network that cannot be expressed in a format
├── BundleError              a bundle that is incomplete, changed or newer than this code
│   └── SignatureError       exit 1: a bundle whose maker is not proven, or a key that is none
├── SourceError              a frame source that cannot be opened, or broke
│   ├── SourceTimeout        a frame source that is open and sends nothing
│   └── SourceOutage         exit 1: a camera that stayed away longer than the user allows
├── DeployError              exit 1: a board that cannot be reached or did not pass
├── RuntimeUnavailable       an engine that is not here or does not take the artifact
└── CheckFailed              exit 1: a gate said no (accuracy, memory, latency)
"""

import importlib
from collections.abc import Iterable
from types import ModuleType

UNREADABLE = (
    LookupError,
    TypeError,
    AttributeError,
    ValueError,
    ArithmeticError,
    OSError,
    RecursionError,
)
"""What reading a JSON file raises that somebody else wrote, cut off or edited."""


class EdgeCnnError(Exception):
    """Bad input or wrong use; the message says what is wrong and what to do."""

    exit_code = 2


class UnknownName(EdgeCnnError):
    """A name that is in no registry."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        import difflib  # takes a while, and most starts know all names

        near = difflib.get_close_matches(name, known := sorted(known), n=1, cutoff=0.4)
        way_out = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}."
        super().__init__(f"Unknown {kind} '{name}': {way_out}{f' {hint}' if hint else ''}")


class MissingExtra(EdgeCnnError):
    """A package that an optional extra installs is not there."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {package}, which is not installed: pip install 'edgecnn[{extra}]'"
        )


class MissingLibrary(EdgeCnnError):
    """A package that does not load, because a library of the system is not there."""


class DataError(EdgeCnnError):
    """Pictures, labels or calibration sets that cannot be used."""


class WeightsError(EdgeCnnError):
    """Weights that cannot be read or do not fit the network."""


class WeightsUnavailable(WeightsError):
    """Pretrained weights that are not on this machine and cannot be downloaded."""


class ExportError(EdgeCnnError):
    """A network that cannot be expressed in the format asked for."""


class BundleError(EdgeCnnError):
    """A bundle that is incomplete, changed since export, or of another schema."""


class SignatureError(BundleError):
    """A bundle that nobody who is trusted has signed, or keys that cannot be used."""

    exit_code = 1


class SourceError(EdgeCnnError):
    """A frame source that cannot be opened, or broke."""


class SourceTimeout(SourceError):
    """A frame source that is open but sent no frame for too long."""


class SourceOutage(SourceError):
    """A live source that stayed away for longer than the user allows."""

    exit_code = 1


class DeployError(EdgeCnnError):
    """A board that cannot be reached, cannot take the bundle, or did not pass the check there."""

    exit_code = 1


class RuntimeUnavailable(EdgeCnnError):
    """An inference engine that is not here or cannot take the artifact."""


class CheckFailed(EdgeCnnError):
    """A check the user asked for (accuracy, memory, latency) did not hold."""

    exit_code = 1


def require(module: str, *, what: str, package: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and module.split(".")[0] != error.name.split(".")[0]:
            raise  # the package is there but itself broken: its own message says more
        raise MissingExtra(what, package, extra) from None
