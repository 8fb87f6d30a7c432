"""Runs `edgecnn` in processes of their own that need not import TensorFlow first.

Each is forked from this one, which has it imported and has computed nothing yet: seconds less for
each of many commands. A line of JSON on stdin is a command, its exit code the answer on stdout.
"""

import atexit
import gc
import json
import os
import signal
import sys
from typing import NoReturn

import keras  # noqa: F401
import onnx  # noqa: F401
import tensorflow  # noqa: F401

from edgecnn.cli import main

SECONDS = 570


def become(command: dict[str, str | list[str]]) -> None:
    """This process, as if it had been started by that command."""
    signal.alarm(SECONDS)
    os.chdir(str(command["cwd"]))
    for stream, file in enumerate((os.devnull, command["stdout"], command["stderr"])):
        os.dup2(os.open(str(file), os.O_RDWR | os.O_CREAT | os.O_APPEND), stream)
    sys.argv = ["edgecnn", *command["arguments"]]


def end(code: int) -> NoReturn:
    """Without taking TensorFlow apart first, a second of each command."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


gc.freeze()  # a collection in a child would copy every page of what is shared
for line in sys.stdin:
    if (child := os.fork()) == 0:
        become(json.loads(line))
        try:
            main()
        except SystemExit as ended:
            end(int(ended.code or 0))
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
