"""What a run looks like: learning curves, confusion matrix, the worst mistakes."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from edgecnn.data import Split
from edgecnn.errors import EdgeCnnError
from edgecnn.training.scores import Scores
from edgecnn.training.state import Row

DPI = 120
MISTAKES = 30
NUMBERED_CLASSES = 20
"""Up to so many classes the confusion matrix has room for its counts."""
NAMED_CLASSES = 60
"""And up to so many for the names."""


def new_figure(width: float, height: float) -> Any:
    """An empty figure of that size in inches, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain_log_x(axes: Any) -> None:
    """Decades across, in numbers as people write them."""
    axes.set_xscale("log")
    for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis("{x:g}")


def write(figure: Any, path: Path) -> None:
    """To where a user wants it; its suffix says in which format.

    Raises `EdgeCnnError` where that cannot be.
    """
    try:
        figure.savefig(path, dpi=DPI)
    except (OSError, ValueError) as error:
        raise EdgeCnnError(f"Cannot write {path}: {error}.") from None


def draw_curves(path: Path, history: list[Row], best_epoch: int) -> None:
    """Loss and accuracy of train and val over the epochs."""
    figure = new_figure(10, 4)
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(history) < 2 else None
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key, label in ((name, "train"), (f"val_{name}", "val")):
            axes.plot(epochs, [row[key] for row in history], label=label, marker=marker)
        axes.axvline(best_epoch, color="grey", linestyle=":", label=f"best, epoch {best_epoch}")
        for before, row in pairwise(history):
            if before["phase"] != row["phase"]:
                axes.axvline(row["epoch"] - 0.5, color="tab:green", linewidth=1)
                where = (row["epoch"] - 0.5, 0.02)
                axes.annotate(
                    f" {row['phase']}", where, xycoords=("data", "axes fraction"), color="tab:green"
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=DPI)


def draw_confusion(path: Path, scores: Scores, labels: tuple[str, ...], title: str) -> None:
    """Share of each true class (row) that was taken for each class (column)."""
    confusion = scores.confusion
    count = len(labels)
    shares = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
    side = float(np.clip(0.45 * count + 2.5, 5, 16))
    figure = new_figure(side + 1, side)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if count <= NAMED_CLASSES:
        axes.set_xticks(range(count), labels, rotation=90 if count > 5 else 0)
        axes.set_yticks(range(count), labels)
    if count <= NUMBERED_CLASSES:
        for row, column in np.argwhere(confusion):
            color = "white" if shares[row, column] > 0.5 else "black"
            text = f"{confusion[row, column]}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    figure.savefig(path, dpi=DPI)


def draw_mistakes(path: Path, scores: Scores, split: Split, labels: tuple[str, ...]) -> None:
    """The most certain mistakes, each with what it is, what it was taken for, and how surely."""
    chosen = scores.worst_mistakes[:MISTAKES]
    columns = min(6, max(1, len(chosen)))
    rows = max(1, -(-len(chosen) // columns))
    figure = new_figure(2 * columns + 0.5, 2.5 * rows + 0.6)
    figure.suptitle(
        f"{len(scores.worst_mistakes)} of {len(scores.targets)} pictures misclassified"
        + (f", the {len(chosen)} most certain" if len(scores.worst_mistakes) > MISTAKES else "")
    )
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, index in zip(figure.axes, chosen.tolist(), strict=False):
        frame = split.frames[index]
        axes.imshow(frame if frame.ndim == 2 else frame[:, :, ::-1], cmap="gray", vmin=0, vmax=255)
        predicted = int(scores.predicted[index])
        axes.set_title(
            f"{labels[scores.targets[index]]}\n→ {labels[predicted]} "
            f"({scores.probabilities[index, predicted]:.0%})",
            fontsize=8,
        )
    figure.savefig(path, dpi=DPI)
