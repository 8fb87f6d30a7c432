"""Pictures that somebody made to do harm."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np

SIDE = 30_000
READ = """
import sys
from pathlib import Path
from edgecnn.errors import DataError
from edgecnn.pictures import read_picture
for name in sorted(Path(sys.argv[1]).iterdir()):
    try:
        print(ascii(name.name), *read_picture(name).shape)
    except DataError as error:
        print(ascii(name.name), ascii(str(error)).partition("hostile")[2])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("peak", int(peak.split()[1]) // 1024)
"""


def png(side: int, rows: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    pixels = zlib.compress(bytes((1 + (side + 7) // 8) * rows), 9)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_none_takes_the_memory_and_each_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    real = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    jpeg, at = bytearray(real), real.find(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", SIDE, SIDE)
    bitmap = struct.pack("<IIiiHHIIiiII", 54, 40, SIDE, SIDE, 1, 24, 0, 100, 0, 0, 0, 0)
    pictures = {
        b"bomb.bmp": b"BM" + struct.pack("<IHH", 154, 0, 0) + bitmap + bytes(100),
        b"bomb.jpg": bytes(jpeg),
        b"bomb.png": png(SIDE, SIDE),
        b"bomb.ppm": b"P6\n%d %d\n255\n" % (SIDE, SIDE) + bytes(100),
        b"caf\xe9.png": png(40, 40),
        b"cut.jpg": real[: len(real) // 2],
        b"empty.jpg": b"",
        b"one.png": png(1, 1),
        b"page.jpg": b"<html>not a picture</html>",
        b"really-a-png.jpg": png(40, 40),
        b"red\x1b[31m.png": png(40, 40),
    }
    for name, data in pictures.items():
        Path(str(folder) + "/" + name.decode(errors="surrogateescape")).write_bytes(data)
    # In a process of its own: the limit is read when OpenCV is imported.
    done = subprocess.run(
        [sys.executable, "-c", READ, folder], capture_output=True, text=True, check=True
    )
    *lines, peak = done.stdout.splitlines()
    found = dict(line.split(maxsplit=1) for line in lines)
    for kind in ("bmp", "jpg", "png", "ppm"):
        assert "has more pixels than any camera (268 million)" in found[f"'bomb.{kind}'"]
    for broken in ("cut.jpg", "empty.jpg", "page.jpg"):
        assert "is not a picture OpenCV can read" in found[f"'{broken}'"]
    for whole in ("caf\\udce9.png", "really-a-png.jpg", "red\\x1b[31m.png"):
        assert found[f"'{whole}'"] == "40 40 3"
    assert found["'one.png'"] == "1 1 3"
    assert int(peak.split()[1]) < 300, "megabytes; one bomb decoded takes 2,700"
