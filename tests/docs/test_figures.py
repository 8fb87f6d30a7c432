"""Figures that stand on several pages are the same, and the tutorial's are those of its source."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"
ENGINES = {"LiteRT": "litert", "ONNX Runtime": "onnxruntime", "OpenVINO": "openvino"}


def rows(page: Path, columns: int) -> list[list[str]]:
    """The cells of a page's tables of so many columns."""
    tables = [line.strip("|").split("|") for line in page.read_text().splitlines()]
    return [[cell.strip() for cell in row] for row in tables if len(row) == columns]


def test_the_readme_compares_as_the_measurement_does() -> None:
    said = {}
    network = ""
    for name, engine, ours, theirs in rows(ROOT / "README.md", 4):
        network = name or network
        if engine in ENGINES:
            said[network, ENGINES[engine]] = re.findall(r"[\d.]+(?=%)|\d\.\d{4}", ours + theirs)
    measured = {
        (name.partition(" (")[0], engine): [a.strip("%"), kl, b.strip("%"), other_kl]
        for name, engine, _, a, kl, _, _, b, other_kl, _ in rows(ROOT / "docs" / "export.md", 10)
    }
    assert len(said) == 12
    assert said == {key: measured[key] for key in said}


@pytest.mark.parametrize(
    ("page", "figures"),
    {
        "convolution": (
            *("(2, 70, 120, 3)", "(2, 64, 114, 32)", "(2, 70, 120, 32)", "(2, 35, 60, 32)"),
            "(7, 7, 3, 32) (32,)",
        ),
        "padding": ("64 114", "35 60", "3 (1, 2)"),
        "memory": ("15200", "225000000", "12 MB", "1.2 GB"),
        "pooling": ("(2, 35, 60, 3)", "(2, 70, 120, 1)", "(2, 3)"),
        "fashion": (
            *("(7, 7) (28, 28, 64)", "(3, 3) (14, 14, 128)", "(3, 3) (7, 7, 256)"),
            "1,413,834",
        ),
        "lenet5": (
            *("(32, 32, 1)", "(28, 28, 6)", "(14, 14, 6)", "(10, 10, 16)", "(5, 5, 16)"),
            *("(1, 1, 120)", "(84,)", "(10,)"),
        ),
        "resnet": ("21,797,672",),
        "pretrained": ("palace", "daisy"),
    }.items(),
)
def test_the_tutorial_prints_the_figures_of_the_text(page: str, figures: tuple[str, ...]) -> None:
    """That they are printed there, test_code.py holds to what runs."""
    printed = "\n".join(re.findall(r"#> (.*)", (TUTORIAL / f"{page}.md").read_text()))
    for figure in figures:
        assert figure in printed
