"""A real profile to compare."""

import json
from pathlib import Path
from typing import Any

import pytest

import edgecnn
from edgecnn.targets.engines import probe


@pytest.fixture(scope="session")
def colour_profile(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The JSON of a profile of the probe network in LiteRT."""
    with pytest.MonkeyPatch.context() as patch:
        cache: Path = tmp_path_factory.mktemp("cache")
        patch.setenv("EDGECNN_CACHE", str(cache))
        found = edgecnn.profile(
            probe.bundle("colours").path, runtimes=("litert",), threads=(1,), runs=30, seconds=0
        )
    return json.loads(json.dumps(found.to_json()))
