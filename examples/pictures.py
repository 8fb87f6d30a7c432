"""The pictures of the README and the documentation, from real runs: `make pictures`.

Pages are photographed in a headless Chromium.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
ARCHITECTURE = "efficientnet_lite0"
COLUMNS = 104
Image = NDArray[np.uint8]


def grid(rows: Sequence[Sequence[Image]], scale: int = 3, gap: int = 6) -> Image:
    """Pictures of one size, RGB `(height, width, 3)`, in rows; as BGR."""
    enlarged = [
        [
            cv2.copyMakeBorder(
                cv2.resize(one, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST),
                *(gap, gap, gap, gap),
                cv2.BORDER_CONSTANT,
                value=(255, 255, 255),
            )
            for one in row
        ]
        for row in rows
    ]
    whole = np.vstack([np.hstack(row) for row in enlarged])
    return np.ascontiguousarray(whole[..., ::-1], np.uint8)


def shown(values: NDArray[np.float32]) -> Image:
    """A feature map `(height, width)` as a grey picture."""
    low, high = np.percentile(values, (1, 99))
    grey = np.clip((values - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def lessons() -> None:
    """What the tutorial's filters and pooling see."""
    import keras
    from sklearn.datasets import load_sample_images

    photographs = np.stack(load_sample_images()["images"])
    crops = np.asarray(keras.layers.CenterCrop(70, 120)(photographs)).astype(np.uint8)
    filters = np.zeros((7, 7, 3, 2), np.float32)
    filters[:, 3, :, 0] = 1
    filters[3, :, :, 1] = 1
    maps = np.asarray(keras.ops.conv(crops / np.float32(255), filters, padding="same"))
    rows = [[c, shown(m[..., 0]), shown(m[..., 1])] for c, m in zip(crops, maps, strict=True)]
    cv2.imwrite(str(PICTURES / "filters.png"), grid(rows))
    pooled = np.asarray(keras.layers.MaxPooling2D(2)(crops.astype(np.float32))).astype(np.uint8)
    halves = [cv2.resize(p, (120, 70), interpolation=cv2.INTER_NEAREST) for p in pooled]
    cv2.imwrite(str(PICTURES / "pooling.png"), grid([[crops[0], halves[0]]]))


def edgecnn(*arguments: str | Path) -> list[str]:
    """The command line that runs `edgecnn ARGUMENTS`."""
    return [sys.executable, "-m", "edgecnn", *map(str, arguments)]


def export(bundle: Path) -> None:
    """Export, and what the terminal shows of it."""
    done = subprocess.run(
        edgecnn("export", ARCHITECTURE, "--int8", "--out", bundle),
        env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(f"$ edgecnn export {ARCHITECTURE} --int8", style="bold")
    console.print(Text.from_ansi(done.stdout))
    svg = console.export_svg(title="edgecnn")
    (PICTURES / "export.svg").write_text(svg.replace(str(bundle.parent), "exports"))


def show(bundle: Path, folder: Path, photographs: Path, photograph: Callable[..., None]) -> None:
    """The page of a bundle, by labelled photographs, and what its first layer makes of one."""
    page, (picture, *_) = folder / "show.html", sorted(photographs.glob("*.jpg"))
    subprocess.run(
        edgecnn("show", bundle, "--data", photographs, "--html", page),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    photograph(page.as_uri(), PICTURES / "show.png", 1100, 900)
    subprocess.run(
        edgecnn(*("show", bundle, "--picture", picture, "--layer", "conv_stem", "--html", page)),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    photograph(page.as_uri(), PICTURES / "maps.png", 1100, 900)


@contextmanager
def live(bundle: Path, photographs: Path) -> Iterator[str]:
    """The address of the page of `edgecnn run --web`, while it looks at one after the other."""
    address = "127.0.0.1:8097"
    process = subprocess.Popen(
        edgecnn(
            *("run", bundle, "--source", photographs, "--max-fps", "1"),
            *("--runtime", "litert", "--web", address),
        ),
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/healthz", timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield f"http://{address}/"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def browser() -> Iterator[Callable[..., None]]:
    """A headless Chromium that photographs an address into a file, given the size to see it in.

    As soon as the page has an element `ready`.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Playwright's own where the system has none: `playwright install chromium`.
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"))

        def photograph(
            address: str, file: Path, width: int, height: int, ready: str = "body"
        ) -> None:
            page = chromium.new_page(viewport={"width": width, "height": height})
            page.goto(address, wait_until="commit")
            page.wait_for_selector(ready)
            page.wait_for_timeout(3000)  # for a picture and some seconds of the graph
            page.screenshot(path=file)
            page.close()

        yield photograph
        chromium.close()


def main(samples: Path) -> None:
    """All of them, with the photographs that examples/samples.py fetched."""
    PICTURES.mkdir(exist_ok=True)
    lessons()
    with tempfile.TemporaryDirectory() as folder, browser() as photograph:
        bundle = Path(folder) / f"{ARCHITECTURE}-int8"
        export(bundle)
        report = Path(folder) / "report.html"
        subprocess.run(edgecnn("profile", bundle, "--html", report), check=True)
        photograph(report.as_uri(), PICTURES / "report.png", 1100, 900)
        show(bundle, Path(folder), samples / "photographs", photograph)
        with live(bundle, samples / "photographs") as address:
            photograph(address, PICTURES / "live.png", 1100, 620, ready="#top li")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
