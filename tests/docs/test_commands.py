"""Command lines in the documentation are ones that there are, and run where a machine can.

What cannot run here is named in `LACKING`, with what it would take. Names and options of
`docs/commands.md` are only held to what there is.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from edgecnn.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FORM = re.compile(r"\[OPTIONS\]|BUNDLE|\.\.\.")
LACKING = {
    r"--source (0|picamera|csi://0)\b|--smooth .* --on-change$": "a camera",
    r"\w@\w": "a board; tests/deploy has some of its own",
    r"onnxruntime-tensorrt": "a Jetson",
    r"mqtt://broker": "a broker of that name; test_how_to.py starts one",
    r"multiworker": "machines of that name; tests/training starts workers",
    r"--ros2": "ROS 2; test_how_to.py has the page's node",
    r"--resume": "a run that was interrupted; tests/training interrupts some",
    r"--seconds 600": "ten minutes of measuring",
    r"train (efficientnet|mobilenet)": "minutes of training; transfer.md trains in test_code.py",
    r"edgecnn label": "a person who labels",
    r"\binbox\b|(runs|exports)/(first|second)": "an inbox; tests/deploy/test_loop.py fills one",
    r"choose .*--data": "minutes of training; tests/choosing trains",
    r"edgecnn choose(?!.*--board)": "minutes of measuring this machine",
    r"pi\.json": "a profile of a board",
    r"edgecnn demo": "a minute of watching; tests/cli/test_demo.py watches for less",
}
BUNDLES = (
    *("mine", "mine-qat", "lenet5", "lenet5-int8", "flowers-int8"),
    *("resnet34-int8", "efficientnet_lite0-int8"),
)
"""LeNet-5 stands in for networks that the page did not export itself."""
LONG = re.compile("edgecnn export (efficientnet_lite0|resnet34)")
"""Once is enough, whatever the number of pages."""
FAILS = re.compile("--board|edgecnn compare")
"""What answers a question: no is exit code 1."""


def commands(page: Path) -> list[str]:
    """The command lines in a page's code, with what continues on the next line."""
    text = page.read_text().replace("\\\n", " ")
    fence = re.compile(r"^```(\S*)\n(.*?)^```", re.S | re.M)
    inside = [code for language, code in fence.findall(text) if language in ("", "sh", "console")]
    inside += re.findall(r"(?:^    .*\n)+", fence.sub("", text), re.M)
    lines = (line.strip().removeprefix("$ ") for code in inside for line in code.splitlines())
    return [line for line in lines if re.match(r"edgecnn [a-z]", line)]


def words(line: str) -> list[str]:
    """The arguments behind `edgecnn`, without what the shell does with the output."""
    return shlex.split(re.split(r"\s[|>]\s|\s2?>\s|;|&&", line)[0], comments=True)[1:]


def lacks(line: str) -> str | None:
    """What it would take to run it, or None."""
    if FORM.search(line):
        return "a name in place of the word"
    return next((what for pattern, what in LACKING.items() if re.search(pattern, line)), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_command_lines_are_ones_that_there_are(page: Path) -> None:
    for line in commands(page):
        if re.search(r"\[OPTIONS\]|\.\.\.$", line):
            continue  # a form, not a command
        context = click.Context(cli, info_name="edgecnn")
        name, command, arguments = cli.resolve_command(context, words(line))
        assert command is not None, line
        try:
            command.make_context(name, arguments, parent=context)
        except click.UsageError as error:
            if "does not exist" in error.format_message():  # a file of the reader's
                continue
            pytest.fail(f"{page.name}: {line}\n{error.format_message()}")


def test_nothing_is_called_impossible_that_is_nowhere() -> None:
    lines = [line for page in PAGES for line in commands(page)]
    for pattern in LACKING:
        assert any(re.search(pattern, line) for line in lines), pattern


def write_digits(folder: Path, first: int, count: int) -> None:
    """Pictures of digits, in a folder for each."""
    digits = load_digits()
    for number in range(first, first + count):
        image, target = digits.images[number], digits.target[number]
        file = folder / str(target) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), cv2.resize(np.uint8(image * 15.9), (32, 32)))


@pytest.fixture(scope="module")
def desk(
    tmp_path_factory: pytest.TempPathFactory, samples: Path, lenet5_run: Path, lenet5_bundle: Path
) -> Callable[[], Path]:
    """Makes folders with what the pages take for granted: runs, bundles, pictures, a key."""
    import keras

    base = tmp_path_factory.mktemp("desk")
    for number, name in enumerate(("flowers", "test", "labelled", "my_pictures"), 1):
        write_digits(base / name, 200 * number, 200)
    pictures = base / "pictures"
    write_digits(pictures, 0, 200)
    rows = [f"pictures/{f.parent.name}/{f.name},{f.parent.name}" for f in pictures.glob("*/*.png")]
    (base / "labels.csv").write_text("\n".join(("file,label", *rows)) + "\n")
    for name in ("rose.jpg", "odd.jpg", "digits.png"):
        cv2.imwrite(str(base / name), cv2.imread(str(next((pictures / "3").glob("*.png")))))
    for name in ("drive.mp4", "street.mp4"):
        shutil.copy(samples / "videos" / "bikes.mp4", base / name)
    for name in ("mine", "my-network", "lenet5-20260101-120000"):
        shutil.copytree(lenet5_run, base / "runs" / name)
    shutil.copytree(lenet5_bundle, base / "efficientnet_lite0-int8")  # as it is on a board
    for name in BUNDLES:
        shutil.copytree(lenet5_bundle, base / "exports" / name)
    image = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(image, keras.layers.Dense(10, activation="softmax")(x)).save(base / "my.keras")
    scaled = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255)])
    keras.Model(scaled.inputs, keras.models.load_model(base / "my.keras")(scaled.outputs)).save(
        base / "scales-itself.keras"
    )
    (base / "labels.txt").write_text("".join(f"{digit}\n" for digit in range(10)))
    (base / "home" / ".ssh").mkdir(parents=True)
    key = base / "home" / ".ssh" / "release"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shutil.copy(key.with_suffix(".pub"), base)
    numbers = iter(range(1000))

    def make() -> Path:
        return shutil.copytree(base, base.parent / f"{base.name}-{next(numbers)}")

    return make


@pytest.fixture(scope="module")
def typed() -> set[str]:
    """Commands that were run for another page."""
    return set()


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES
        if page.stem != "commands" and any(not lacks(line) for line in commands(page))
    ],
    ids=lambda page: page.stem,
)
def test_command_lines_run(
    page: Path,
    desk: Callable[[], Path],
    typed: set[str],
    edgecnn_cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    folder = desk()
    for line in commands(page):
        arguments = [word.replace("~/", f"{folder}/home/") for word in words(line)]
        if lacks(line) or (LONG.match(line) and shlex.join(words(line)) in typed):
            continue
        typed.add(shlex.join(words(line)))
        if "--preprocessing" not in arguments:
            arguments = [word.replace("my.keras", "scales-itself.keras") for word in arguments]
        done = edgecnn_cli(*arguments, cwd=folder)
        assert done.returncode in ((0, 1) if FAILS.search(line) else (0,)), line + done.stderr
        assert "Traceback" not in done.stderr
        if saved := re.search(r"> (\S+\.json)$", line):
            (folder / saved[1]).write_text(done.stdout)
