"""Runs a command behind a bad link: $LINK is `slow` (2 MB/s) or `damaging` (a byte in 64 KB)."""

import os
import subprocess
import sys
import time

BYTES_PER_S = 2_000_000

with subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, bufsize=0) as process:
    assert process.stdin is not None
    while data := os.read(0, 1 << 16):
        if os.environ["LINK"] == "damaging":
            data = bytes([data[0] ^ 1]) + data[1:]
        else:
            time.sleep(len(data) / BYTES_PER_S)
        process.stdin.write(data)
    process.stdin.close()
    code = process.wait()
sys.exit(code)
