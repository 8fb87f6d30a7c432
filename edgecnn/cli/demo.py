"""`edgecnn demo`."""

import importlib.util
from pathlib import Path

import click

FOLDER = Path(__file__).parents[1] / "demo"
A_SECOND = 1.0
"""Pictures, so that people can follow."""


@click.command("demo")
@click.option(
    "--web",
    default="127.0.0.1:8000",
    show_default=True,
    metavar="HOST:PORT",
    help="Where the page is; HOST 0.0.0.0 shows it to the network too.",
)
@click.pass_context
def command(ctx: click.Context, web: str) -> None:
    """A network and pictures that come with edgecnn: no camera, no download.

    LeNet-5 in int8 says what pieces of clothing are (Fashion-MNIST), a picture a second, on a page
    in the browser; in the terminal where the page's packages are not installed.

    \b
    edgecnn demo
    edgecnn demo --web 0.0.0.0:8000    # from another machine's browser
    """
    from edgecnn.targets.live.loop import LiveOptions
    from edgecnn.targets.live.outputs import Outputs
    from edgecnn.targets.live.runner import run

    page = importlib.util.find_spec("aiohttp") and importlib.util.find_spec("prometheus_client")
    if not page:
        click.echo("For a page in the browser: pip install 'edgecnn[web]'", err=True)
    code = run(
        FOLDER / "bundle",
        str(FOLDER / "pictures"),
        Outputs(web=web if page else None),
        runtime="tflite",
        options=LiveOptions(max_fps=A_SECOND),
    )
    click.echo("Next, with your camera: pip install 'edgecnn[all]'", err=True)
    click.echo("  edgecnn export efficientnet_lite0 --int8", err=True)
    click.echo("  edgecnn run exports/efficientnet_lite0-int8 --source 0 --show", err=True)
    ctx.exit(code)
