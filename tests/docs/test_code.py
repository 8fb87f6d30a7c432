"""Code in the documentation does what the page says."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

from edgecnn.cli import cli

ROOT = Path(__file__).parents[2]
TUTORIAL = sorted((ROOT / "docs" / "tutorial").glob("*.md"))
HOW_TO = [
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
    *(ROOT / "docs" / name for name in ("bundle.md", "json.md")),
]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SLOW = "<!-- slow -->"
APART = "<!-- apart -->"
"""In front of code that needs more than Python, and has a test of its own in test_how_to.py."""
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FLOWERS = os.environ.get("EDGECNN_FLOWERS")


def blocks(page: Path, *, slow: bool) -> list[CodeExample]:
    """A page's Python, or that part of it which takes no minutes."""
    lines = page.read_text().splitlines()
    return [
        example
        for example in find_examples(page)
        if lines[example.start_line - 2].strip() not in ((APART,) if slow else (APART, SLOW))
    ]


def follow(examples: list[CodeExample], evaluate: EvalExample) -> None:
    """Run blocks one after another, as a reader would, and compare what they print."""
    names: dict[str, Any] = {}
    evaluate.set_config(line_length=100)
    for example in examples:
        names |= evaluate.run_print_check(example, module_globals=names, rewrite_assertions=False)


@pytest.mark.parametrize("page", TUTORIAL, ids=lambda page: page.stem)
def test_the_tutorial(
    page: Path, eval_example: EvalExample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    follow(blocks(page, slow=False), eval_example)


@pytest.mark.parametrize(
    "page", [page for page in HOW_TO if blocks(page, slow=False)], ids=lambda page: page.stem
)
def test_the_how_to_pages(
    page: Path,
    eval_example: EvalExample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    samples: Path,
) -> None:
    (tmp_path / "pictures").symlink_to(samples / "photographs")
    (tmp_path / "drive.mp4").symlink_to(samples / "videos" / "bikes.mp4")
    monkeypatch.chdir(tmp_path)
    follow(blocks(page, slow=False), eval_example)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "page",
    [page for page in [*TUTORIAL, *HOW_TO] if SLOW in page.read_text()],
    ids=lambda page: page.stem,
)
def test_what_takes_minutes(
    page: Path,
    eval_example: EvalExample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if page.stem == "fashion" and not FASHION_MNIST.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    if page.stem == "transfer":
        if FLOWERS is None:
            pytest.skip("EDGECNN_FLOWERS names no folder of five kinds of flowers")
        (tmp_path / "flowers").symlink_to(FLOWERS)
    monkeypatch.chdir(tmp_path)
    follow(blocks(page, slow=True), eval_example)


def commands(page: Path) -> list[str]:
    """The command lines in a page's code, with what continues on the next line."""
    text = page.read_text().replace("\\\n", " ")
    inside = re.findall(r"^```(?:sh|console)?\n(.*?)^```", text, re.S | re.M)
    inside += re.findall(r"(?:^    .*\n)+", text, re.M)
    lines = (line.strip().removeprefix("$ ") for code in inside for line in code.splitlines())
    return [line for line in lines if re.match(r"edgecnn [a-z]", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_command_lines_are_ones_that_there_are(page: Path) -> None:
    """Names and options; what they do is tested elsewhere."""
    for line in commands(page):
        words = shlex.split(re.split(r"\s[|>]\s|\s2?>\s|;|&&", line)[0], comments=True)
        if any(word in ("...", "…") or word.startswith("[") for word in words):
            continue  # a form, not a command
        context = click.Context(cli, info_name="edgecnn")
        name, command, arguments = cli.resolve_command(context, words[1:])
        assert command is not None, line
        try:
            command.make_context(name, arguments, parent=context)
        except click.UsageError as error:
            if "does not exist" in error.format_message():  # a file of the reader's
                continue
            pytest.fail(f"{page.name}: {line}\n{error.format_message()}")
