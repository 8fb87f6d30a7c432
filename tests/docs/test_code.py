"""Code in the documentation does what the page says."""

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
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SLOW = "<!-- slow -->"
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def blocks(page: Path, *, slow: bool) -> list[CodeExample]:
    """A page's Python, or that part of it which takes no minutes."""
    lines = page.read_text().splitlines()
    return [
        example
        for example in find_examples(page)
        if slow or lines[example.start_line - 2].strip() != SLOW
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in TUTORIAL if SLOW in page.read_text()], ids=lambda page: page.stem
)
def test_what_takes_minutes(
    page: Path,
    eval_example: EvalExample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if page.stem == "fashion" and not FASHION_MNIST.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    if page.stem == "transfer":
        flowers: Path = request.getfixturevalue("flowers")
        (tmp_path / "flowers").symlink_to(flowers)
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
