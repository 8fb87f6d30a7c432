"""From nothing to the first answer: `edgecnn run` against a bare script of the engine.

    edgecnn export efficientnet_lite0 --int8
    python benchmarks/start.py exports/efficientnet_lite0-int8 PICTURE [--times 9]

Both start a fresh Python, load the int8 TFLite file into LiteRT, read the picture with OpenCV and
print the best class. Ours also checks the hash of every file and the golden pictures. They take
turns; medians are printed: the seconds until the answer is on stdout, the processor's seconds and
the resident memory until then, and their ratios. All modules are compiled before, as those of an
installed package are.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

BARE = """if True:
    import sys
    import cv2, numpy as np
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_path=sys.argv[1], num_threads=int(sys.argv[3]))
    interpreter.allocate_tensors()
    (detail,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    picture = cv2.cvtColor(cv2.imread(sys.argv[2]), cv2.COLOR_BGR2RGB)
    picture = cv2.resize(picture, tuple(detail["shape"][2:0:-1].tolist()))
    interpreter.set_tensor(detail["index"], picture[None])
    interpreter.invoke()
    print(int(np.argmax(interpreter.get_tensor(out["index"]))), flush=True)
    sys.stdin.read()
"""


def first_answer(command: list[str], said: bytes) -> tuple[float, float, int]:
    """Seconds until a line is on stdout, the processor's, and resident bytes then.

    `said` is put on stdin.
    """
    # Else Python would compile a module of a checkout at each start.
    unset = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=unset
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(said)
    process.stdin.flush()
    line = process.stdout.readline()
    seconds = time.perf_counter() - started
    if not line:
        raise SystemExit(f"{command[:4]} gave no answer")
    seen = psutil.Process(process.pid)
    resident, spent = seen.memory_info().rss, seen.cpu_times()
    process.kill()
    process.communicate()
    return seconds, spent.user + spent.system, resident


def first_answers(
    bundle: Path, picture: Path, threads: int, times: int
) -> dict[str, list[tuple[float, float, int]]]:
    """What `first_answer` says of edgecnn and of the bare script, in turn."""
    edgecnn = [sys.executable, "-m", "edgecnn", "run", str(bundle), "--runtime", "litert"]
    # Its standard input stays open, as that of the bare script does: both are still there when
    # their memory is read.
    edgecnn += ["--threads", str(threads), "--source", "-", "--jsonl", "-"]
    model = str(bundle / "model.tflite")
    commands = {
        "edgecnn run": edgecnn,
        "bare LiteRT": [sys.executable, "-c", BARE, model, str(picture), str(threads)],
    }
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in commands}
    for turn in range(-1, times):
        for name, command in commands.items():
            said = picture.read_bytes() if command is edgecnn else b""
            answer = first_answer(command, said)
            if turn >= 0:
                found[name].append(answer)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    found = first_answers(asked.bundle, asked.picture, asked.threads, asked.times)
    medians = {
        name: [statistics.median(values) for values in zip(*runs, strict=True)]
        for name, runs in found.items()
    }
    for name, (seconds, spent, resident) in medians.items():
        print(f"{name:12} {seconds:6.3f} s   processor {spent:6.3f} s   {resident / 1e6:6.1f} MB")
    pairs = zip(*found.values(), strict=True)
    turns = sorted(ours[0] / bare[0] for ours, bare in pairs)
    low, middle, high = np.quantile(turns, (0.1, 0.5, 0.9))
    (_, spent, resident), bare = medians.values()
    print(
        f"ratio        {middle:6.2f} [{low:.2f}, {high:.2f}]   processor {spent / bare[1]:.2f}   "
        f"memory {resident / bare[2]:.2f}"
    )


if __name__ == "__main__":
    main()
