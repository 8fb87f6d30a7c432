"""`edgecnn run`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import edgecnn
from edgecnn.cli.options import (
    THREADS,
    key_option,
    runtime_option,
    self_check_option,
    target_option,
)
from edgecnn.cli.run_options import decision_options, output_options, source_options
from edgecnn.starting import starting

if TYPE_CHECKING:
    from edgecnn.targets.live.shadow import ShadowOptions


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@source_options
@target_option
@runtime_option
@click.option("--threads", type=THREADS, help="Threads of the engine.  [default: cores]")
@self_check_option
@click.option(
    "--require-signature",
    is_flag=True,
    help="Refuse a bundle that none of the trusted keys signed.",
)
@key_option
@decision_options
@output_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    bundle: Path,
    source: str,
    target: str,
    runtime: str,
    threads: int | None,
    self_check: bool,
    require_signature: bool,
    keys: tuple[Path, ...],
    frames: int | None,
    print_systemd: bool,
    **given: Any,
) -> None:
    """Classify what a camera, a video or pictures show.

    Cameras and streams: always the newest frame, the others are dropped and counted; one that
    is lost is connected again. Files: every frame. Ends at the end of a file, on Ctrl-C or on
    SIGTERM.

    \b
    edgecnn run exports/efficientnet_lite0-int8 --source 0 --show
    edgecnn run exports/efficientnet_lite0-int8 --source street.mp4 --jsonl - | jq .label
    edgecnn run exports/efficientnet_lite0-int8 --smooth exponential:0.5 --threshold 0.6 --on-change
    edgecnn run exports/flowers-int8 --source 0 --coverage 95% --reject 1%
    """
    if print_systemd:
        _print_systemd(bundle)
        return
    with starting():
        from edgecnn.targets.answer import AnswerOptions
        from edgecnn.targets.live.loop import LiveOptions
        from edgecnn.targets.live.outputs import Outputs
        from edgecnn.targets.live.runner import run
        from edgecnn.targets.region import Region

    smooth, threshold, hysteresis, roi = map(
        given.pop, ("smooth", "threshold", "hysteresis", "roi")
    )
    alarm = given.pop("alarm")
    shadow, shadow_share = given.pop("shadow"), given.pop("shadow_share")
    answers = AnswerOptions.parse(*map(given.pop, ("raw", "coverage", "reject")))
    blanked = tuple(Region.parse(one, "--collect-blank") for one in given.pop("collect_blank"))
    decides = smooth or threshold is not None or hysteresis or given["on_change"]
    options = LiveOptions(
        region=Region.parse(roi) if roi else None,
        answers=answers,
        alarm=edgecnn.AlarmOptions.parse(alarm) if alarm else None,
        shadow=_shadow(shadow, shadow_share) if shadow else None,
        rule=edgecnn.DecisionRule(smooth, threshold, hysteresis or 0.0) if decides else None,
        **{name: given.pop(name) for name in LIVE},
    )
    ctx.exit(
        run(
            bundle,
            source,
            Outputs(**given, collect_blank=blanked),
            target=target,
            runtime=runtime,
            threads=threads,
            self_check=self_check,
            trusted=edgecnn.TrustedKeys.required(keys) if require_signature or keys else None,
            frames=frames,
            options=options,
        )
    )


def _shadow(bundle: Path, share: str) -> "ShadowOptions":
    from edgecnn.targets.live.shadow import ShadowOptions

    return ShadowOptions.parse(bundle, share)


def _print_systemd(bundle: Path) -> None:
    import getpass

    from edgecnn.bundle import Bundle
    from edgecnn.targets.live.systemd import unit

    words = sys.argv[sys.argv.index("run") + 1 :]
    arguments = [word for word in words if word != "--print-systemd"]
    click.echo(unit(arguments, Bundle.load(bundle).name, getpass.getuser()), nl=False)


LIVE = ("size", "camera_fps", "timeout_s", "max_outage_s", "max_fps", "max_age_ms")
