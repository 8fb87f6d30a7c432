"""The options of `edgecnn run`: where frames come from, what is made of them, where it goes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edgecnn.cli.options import Number, parse_size

Decorator = Callable[[Any], Any]
POSITIVE = Number(0, min_open=True)
PROBABILITY = Number(0, 1)


class Size(click.ParamType[int]):
    """A number of bytes, with or without a unit."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """From `500MB`, `2GB` or `500000000`."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", str(value))
        if not found or not float(found[1]):
            self.fail(f"'{value}' is no size such as 500MB.", param, ctx)
        return int(float(found[1]) * 1000 ** " kMGT".index(found[2] or " "))


def _together(*options: Decorator) -> Decorator:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


source_options = _together(
    click.option(
        "--source",
        default="0",
        show_default=True,
        metavar="URI",
        help="0 or /dev/video0, a picture, folder, glob or video, - (JPEGs on standard input), "
        "http://..., rtsp://..., picamera, csi://0, gst:PIPELINE, synthetic[:WxH][@FPS], env:NAME.",
    ),
    click.option(
        "--size", callback=parse_size, metavar="WxH", help="Frame size to ask a camera for."
    ),
    click.option(
        "--camera-fps", type=POSITIVE, metavar="FPS", help="Frame rate to ask a camera for."
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=POSITIVE,
        default=5.0,
        show_default=True,
        metavar="SECONDS",
        help="How long a camera or stream may be silent before it is connected again.",
    ),
    click.option(
        "--max-outage",
        "max_outage_s",
        type=Number(0),
        metavar="SECONDS",
        help="Give up, with exit code 1, when a camera or stream is away for longer; 0: take its "
        "end for the end.  [default: never]",
    ),
    click.option("--frames", type=click.IntRange(1), metavar="N", help="Stop after N frames."),
)

decision_options = _together(
    click.option(
        "--coverage",
        metavar="SHARE",
        help='Name all labels that are possible, or "unknown": in 95% of pictures like the '
        "held-out ones the truth is among them; each:95% promises it for every label's own.",
    ),
    click.option(
        "--reject",
        metavar="SHARE",
        help='Say "unknown" of what is less familiar than all but this share, such as 1%, of '
        "held-out pictures.",
    ),
    click.option(
        "--raw", is_flag=True, help="The engine's own probabilities, not the calibrated ones."
    ),
    click.option(
        "--roi",
        metavar="X,Y,W,H",
        help="Look at this part of the frame only, in fractions: 0.25,0,0.5,1 is the middle half.",
    ),
    click.option(
        "--max-fps", type=POSITIVE, metavar="FPS", help="Look at no more frames a second."
    ),
    click.option(
        "--max-age-ms",
        type=POSITIVE,
        metavar="MS",
        help="Look at fewer frames while they are older than this when answered (p99).",
    ),
    click.option(
        "--smooth",
        metavar="KIND:N",
        help="Decide over time: exponential:SECONDS or majority:FRAMES.",
    ),
    click.option(
        "--threshold",
        type=PROBABILITY,
        metavar="P",
        help='Decide "unknown" below this; of labels that each hold or not, and of yes or no, '
        "instead of the bundle's thresholds.",
    ),
    click.option(
        "--hysteresis",
        type=PROBABILITY,
        metavar="P",
        help="Keep a decision until another leads by more, or the threshold is missed by more.",
    ),
    click.option(
        "--alarm",
        metavar="DAYS[:SECONDS]",
        help="Tell when the camera or the scene is no longer like the held-out pictures, with no "
        "more than one false alarm in DAYS, from what is seen in SECONDS at a time (20).",
    ),
    click.option(
        "--shadow",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="BUNDLE",
        help="Let this candidate look at some of the frames beside, and count where it differs; "
        "--collect keeps these frames.",
    ),
    click.option(
        "--shadow-share",
        default="10%",
        show_default=True,
        metavar="SHARE",
        help="How much of a core it may take.",
    ),
    click.option(
        "--on-change", is_flag=True, help="Write and publish only when the decision changes."
    ),
)

output_options = _together(
    click.option("--jsonl", metavar="FILE", help="Write a JSON line a frame; - is stdout."),
    click.option("--show", is_flag=True, help="Show the frames in a window; q ends."),
    click.option(
        "--record",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write a video of frames and answers (.mp4, .mkv or .avi).",
    ),
    click.option(
        "--output-limit",
        "output_limit_mb",
        type=POSITIVE,
        metavar="MB",
        help="Let JSON lines and the recording take no more than this, each in two files: the "
        "older half has .1 in its name.  [default: no limit]",
    ),
    click.option(
        "--web",
        metavar="HOST:PORT",
        help="Serve a page with the live picture, answers and metrics. Beyond 127.0.0.1 it asks "
        "for a token: $EDGECNN_WEB_TOKEN, else a new one.",
    ),
    click.option(
        "--mqtt",
        metavar="URL",
        help="Publish the newest answer, retained, to mqtt://HOST[:PORT][/TOPIC][?qos=N], or "
        "mqtts://... (TLS; $EDGECNN_MQTT_CA names other authorities than the system's). "
        "Credentials: $EDGECNN_MQTT_USERNAME, $EDGECNN_MQTT_PASSWORD.",
    ),
    click.option(
        "--ros2", metavar="TOPIC", help="Publish vision_msgs/Classification. Untried on a robot."
    ),
    click.option(
        "--snapshots",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Keep frames the network is unsure of: pictures to calibrate or train with.",
    ),
    click.option(
        "--snapshots-below",
        type=PROBABILITY,
        default=0.5,
        show_default=True,
        metavar="P",
        help="Unsure is: the best class has less; of labels that each hold or not, and of yes or "
        "no: one is less than this part of the way from its threshold to 0 or 1.",
    ),
    click.option(
        "--snapshots-limit",
        type=click.IntRange(1),
        default=200,
        show_default=True,
        metavar="N",
        help="Keep the newest N.",
    ),
    click.option(
        "--collect",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Keep frames worth a label, for `edgecnn pull` and `edgecnn label`: uncertain, novel "
        "and flickering ones, and some at random. Of the --roi only, where there is one.",
    ),
    click.option(
        "--collect-limit",
        "collect_limit_bytes",
        type=Size(),
        default="500MB",
        show_default=True,
        metavar="SIZE",
        help="What they may take on the disk, as in 500MB or 2GB; then the oldest go.",
    ),
    click.option(
        "--collect-blank",
        multiple=True,
        metavar="X,Y,W,H",
        help="Blacken this part of the frame before it is kept, in fractions; may be given several "
        "times.",
    ),
    click.option(
        "--print-systemd",
        is_flag=True,
        help="Print a systemd unit that runs this very command, and end.",
    ),
)
