"""The bill of materials in a bundle: what it is made of and by, in CycloneDX."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from edgecnn import __version__, zoo
from edgecnn.bundle import OTHER_FILES, describe_file

SBOM = "sbom.cdx.json"
UNKNOWN = "not known to edgecnn"


def write(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write the bill of a bundle whose manifest is otherwise finished; returns its description.

    Files stand in it with the hashes that the manifest gives them.
    """
    bom = Bom()
    bom.metadata.timestamp = datetime.fromisoformat(manifest["created_at"])
    bom.metadata.tools.components.add(_package("edgecnn", __version__))
    network = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=manifest["architecture"],
        version=manifest["created_at"],
        bom_ref="network",
        properties=[
            Property(name="edgecnn:precision", value=manifest["precision"]),
            Property(name="edgecnn:head", value=manifest["head"]),
            Property(name="edgecnn:fingerprint", value=manifest["fingerprint"]),
        ],
    )
    bom.metadata.component = network
    made_with = [
        _package(name, version)
        for name, version in manifest["created_with"].items()
        if version != "not installed"
    ]
    files = list(_files(manifest))
    made_of = [_weights(manifest["weights"]), _calibration(manifest["calibration"])]
    for component in (*made_of, *files, *made_with):
        bom.components.add(component)
    bom.register_dependency(network, [*made_of, *files])
    for file in files:
        bom.register_dependency(file, made_with)
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    (folder / SBOM).write_text(text + "\n", encoding="utf-8")
    return asdict(describe_file(folder, SBOM))


def _files(manifest: dict[str, Any]) -> Iterator[Component]:
    described = [manifest[key] for key in ("labels", *OTHER_FILES) if key in manifest]
    described += [file for one in manifest["artifacts"].values() for file in one["files"]]
    for file in described:
        yield Component(
            type=ComponentType.FILE,
            name=file["path"],
            bom_ref=f"file:{file['path']}",
            hashes=[_sha256(file["sha256"])],
        )


def _weights(weights: dict[str, str]) -> Component:
    """What licence they have is said where it is known, and guessed nowhere."""
    source = weights["source"]
    published = (zoo.get(name).pretrained for name in zoo.names())
    origin = next((one for one in published if one and str(one) == source), None)
    references = []
    if origin and origin.kind == "hub":
        address = XsUri(f"https://huggingface.co/{origin.where}")
        references.append(ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=address))
    known = origin.licence if origin else None
    licence = DisjunctiveLicense(id=known) if known else DisjunctiveLicense(name=UNKNOWN)
    return Component(
        type=ComponentType.DATA,
        name=f"weights: {source}",
        bom_ref="weights",
        licenses=[licence],
        hashes=[_sha256(weights["sha256"])] if weights["sha256"] else [],
        external_references=references,
        properties=[Property(name="edgecnn:weights", value=weights["kind"])],
    )


def _calibration(pictures: dict[str, Any]) -> Component:
    return Component(
        type=ComponentType.DATA,
        name=f"calibration pictures: {pictures['name']}",
        description=pictures["origin"],
        bom_ref="calibration",
        hashes=[_sha256(pictures["sha256"])],
        properties=[Property(name="edgecnn:pictures", value=str(pictures["count"]))],
    )


def _package(name: str, version: str) -> Component:
    if name == "python":
        purl = PackageURL("generic", name="python", version=version)
    else:
        purl = PackageURL("pypi", name=name, version=version)
    return Component(
        type=ComponentType.LIBRARY, name=name, version=version, purl=purl, bom_ref=purl.to_string()
    )


def _sha256(value: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=value)
