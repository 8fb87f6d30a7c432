"""`edgecnn run`."""

from pathlib import Path
from typing import Any

import click

from edgecnn.cli.options import parse_size, runtime_option, target_option


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--source",
    default="0",
    show_default=True,
    metavar="URI",
    help="0 or /dev/video0, a picture, folder, glob or video, - (JPEGs on standard input), "
    "http://..., rtsp://..., picamera, csi://0, gst:PIPELINE, synthetic[:WxH][@FPS].",
)
@target_option
@runtime_option
@click.option("--threads", type=click.IntRange(1), help="Threads of the engine.  [default: cores]")
@click.option("--jsonl", metavar="FILE", help="Write a JSON line a frame; - is stdout.")
@click.option("--show", is_flag=True, help="Show the frames in a window; q ends.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a video of frames and answers (.mp4, .mkv or .avi).",
)
@click.option("--frames", type=click.IntRange(1), metavar="N", help="Stop after N frames.")
@click.option("--size", callback=parse_size, metavar="WxH", help="Frame size to ask a camera for.")
@click.option(
    "--camera-fps",
    type=click.FloatRange(0, min_open=True),
    metavar="FPS",
    help="Frame rate to ask a camera for.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a camera or stream may be silent before it is connected again.",
)
@click.option(
    "--max-outage",
    "max_outage_s",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Give up, with exit code 1, when a camera or stream is away for longer; 0: take its end "
    "for the end.  [default: never]",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    bundle: Path,
    source: str,
    jsonl: str | None,
    show: bool,
    record: Path | None,
    **options: Any,
) -> None:
    """Classify what a camera, a video or pictures show.

    Cameras and streams: always the newest frame, the others are dropped and counted; one that
    is lost is connected again. Files: every frame. Ends at the end of a file, on Ctrl-C or on
    SIGTERM.

    \b
    edgecnn run exports/efficientnet_lite0-int8 --source 0 --show
    edgecnn run exports/efficientnet_lite0-int8 --source street.mp4 --jsonl - | jq .label
    """
    from edgecnn.targets.runner import Outputs, run

    ctx.exit(run(bundle, source, Outputs(jsonl, show, record), **options))
