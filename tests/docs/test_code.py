"""Code in the documentation does what the page says."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

import edgecnn

ROOT = Path(__file__).parents[2]
DEMO = Path(edgecnn.__file__).parent / "demo"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SLOW = "<!-- slow -->"
APART = "<!-- apart -->"
"""In front of code that needs more than Python, and has a test of its own in test_how_to.py."""
LACKING = {
    "edgecnn.deploy(": "two boards; tests/deploy brings bundles to its own",
    "mediapipe": "MediaPipe; tests/artifacts reads the metadata that it reads",
}
"""What code has in it that is not run, and what it would take."""
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FLOWERS = os.environ.get("EDGECNN_FLOWERS")


def is_run(example: CodeExample) -> bool:
    return not any(pattern in example.source for pattern in LACKING)


def mark(example: CodeExample) -> str:
    """What stands above a block of code."""
    return example.path.read_text().splitlines()[example.start_line - 2].strip()


def blocks(page: Path, *, slow: bool) -> list[CodeExample]:
    """A page's Python, or that part of it which takes no minutes."""
    left = (APART,) if slow else (APART, SLOW)
    return [one for one in find_examples(page) if is_run(one) and mark(one) not in left]


def follow(examples: list[CodeExample], evaluate: EvalExample) -> None:
    """Run blocks one after another, as a reader would, and compare what they say is printed."""
    names: dict[str, Any] = {}
    evaluate.set_config(line_length=100)
    for example in examples:
        run = evaluate.run_print_check if "#>" in example.source else evaluate.run
        names |= run(example, module_globals=names, rewrite_assertions=False)


@pytest.fixture
def desk(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder, with what the pages take for granted."""
    (tmp_path / "pictures").symlink_to(samples / "photographs")
    (tmp_path / "drive.mp4").symlink_to(samples / "videos" / "bikes.mp4")
    (tmp_path / "picture.jpg").symlink_to(next((samples / "photographs").glob("*.jpg")))
    shutil.copytree(DEMO / "bundle", tmp_path / "exports" / "mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, slow=False)], ids=lambda page: page.stem
)
def test_code(page: Path, eval_example: EvalExample, desk: Path) -> None:
    follow(blocks(page, slow=False), eval_example)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if SLOW in page.read_text()],
    ids=lambda page: page.stem,
)
def test_what_takes_minutes(page: Path, eval_example: EvalExample, desk: Path) -> None:
    if page.stem == "fashion" and not FASHION_MNIST.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    if page.stem == "transfer":
        if FLOWERS is None:
            pytest.skip("EDGECNN_FLOWERS names no folder of five kinds of flowers")
        (desk / "flowers").symlink_to(FLOWERS)
    follow(blocks(page, slow=True), eval_example)


def test_each_block_is_run_or_named() -> None:
    """Every page's code in Python begins as such: none hides in an indented block."""
    examples = list(find_examples(*PAGES))
    apart = [one for one in examples if mark(one) == APART]
    assert {one.path.stem for one in apart} == {"mqtt", "ros2"}  # as test_how_to.py runs
    for pattern in LACKING:
        assert sum(pattern in one.source for one in examples) == 1, pattern
    for page in PAGES:
        outside = page.read_text().split("```")[::2]
        for line in "".join(outside).splitlines():
            assert not line.startswith(("    import ", "    from edgecnn")), f"{page.name}: {line}"
