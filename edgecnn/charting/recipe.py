"""What every row of an atlas has in common."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from edgecnn.errors import DataError
from edgecnn.training.settings import Settings


@dataclass(frozen=True)
class Recipe:
    """How each network is trained and exported."""

    data: str
    """Where the pictures come from, as `edgecnn.data` describes; it must have test pictures."""
    dataset_sha256: str
    settings: Settings
    max_drop: float
    """Points of top-1 that int8 may lose before the repair ladder is climbed."""

    def to_json(self) -> dict[str, Any]:
        """As in each row, with lists where JSON has lists."""
        return dict(json.loads(json.dumps(asdict(self))))

    def refuse_others(self, row: dict[str, Any], file: str) -> None:
        """Raise `DataError` for a finished row that is of another recipe."""
        told, own = row.get("recipe"), self.to_json()
        if told == own:
            return
        theirs: dict[str, Any] = told if isinstance(told, dict) else {}
        differ = [one.name for one in fields(self) if theirs.get(one.name) != own[one.name]]
        if "settings" in differ and isinstance(theirs.get("settings"), dict):
            differ.remove("settings")
            other = theirs["settings"]
            differ += [name for name, value in own["settings"].items() if other.get(name) != value]
        raise DataError(
            f"{file} is of another recipe ({', '.join(differ)} differ): rows of one atlas must be "
            "comparable. Choose another --out."
        )
