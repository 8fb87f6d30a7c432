"""The rooms of `targets/`, and which may use which: the picture in ARCHITECTURE.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

TARGETS = Path(__file__).parents[1] / "targets"
LEVELS = (
    {"board", "region", "captured"},
    {"engines", "prediction"},
    {"answer", "explanation"},
    {"classifier"},
    {"live", "deploy"},
    {"profiling", "inventory"},
)
"""From below; a room uses only what is on a lower level."""
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def uses(path: Path) -> Iterator[str]:
    """The rooms a file imports from, within functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[:2] == ["edgecnn", "targets"]:
                yield parts[2]


def test_every_room_uses_only_what_is_below_it() -> None:
    wrong = []
    for path in sorted(TARGETS.rglob("*.py")):
        inner = path.relative_to(TARGETS)
        room = inner.parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for used in uses(path):
            if used != room and LEVEL[used] >= LEVEL[room]:
                wrong.append(f"{inner} uses {used}")
    assert not wrong


def test_the_picture_in_the_architecture_is_this() -> None:
    text = (TARGETS.parent / "ARCHITECTURE.md").read_text()
    drawn = text.partition("`tests/test_rooms.py` holds:\n\n```\n")[2].partition("```")[0]
    rows = [
        {word.removesuffix("/").removesuffix(".py") for word in line.split()}
        for line in drawn.splitlines()
    ]
    assert list(reversed(rows)) == list(LEVELS)
