"""The float network that a bundle was made from, to compare its artifacts with."""

from dataclasses import replace
from pathlib import Path

from edgecnn.bundle import Bundle
from edgecnn.checkpoint import origin_of
from edgecnn.errors import EdgeCnnError, ExportError
from edgecnn.export import network as networks
from edgecnn.export.keras_file import read_model, weights_of
from edgecnn.export.network import Network


def found_float(
    bundle: Bundle, notes: list[str], given: bool | Path | str = True
) -> Network | None:
    """The float network, or None and a note why it is not here.

    `given` is a file to take it from, whatever the bundle says. Raises `EdgeCnnError` for one that
    cannot be read or does not fit.
    """
    if isinstance(given, bool):
        try:
            return _found(bundle)
        except EdgeCnnError as error:
            notes.append(f"No comparison with the float network: {error}")
            return None
    network = _in_file(bundle, Path(given))
    if not _same(network, bundle):
        notes.append(
            f"{given} is not the very file that the bundle was made from: what is compared is "
            "this network with that one's artifacts."
        )
    return network


def _found(bundle: Bundle) -> Network:
    weights = bundle.weights
    if weights.kind == "trained":
        network = _in_file(
            bundle, origin_of(bundle, "name the file that holds it with --reference FILE")
        )
    else:
        kind = "imagenet" if weights.kind == "pretrained" else "random"
        network = networks.find(bundle.architecture, kind)
    if not _same(network, bundle):
        raise ExportError(
            f"the weights now at {weights.source} are not those of the bundle: name the right ones "
            "with --reference FILE."
        )
    return network


def _in_file(bundle: Bundle, path: Path) -> Network:
    output = bundle.manifest.get("reference", {}).get("output", 0)
    if networks.is_checkpoint(path):
        return replace(networks.find(path), output=output)
    return networks.of_model(
        read_model(path),
        bundle.preprocessing,
        bundle.labels,
        output=output,
        file=path,
        weights=weights_of(path),
    )


def _same(network: Network, bundle: Bundle) -> bool:
    """Whether it holds the bundle's weights: the very file, or the same values."""
    known = (network.weights.sha256, networks.weights_sha256(network.model))
    return bundle.weights.sha256 in known
