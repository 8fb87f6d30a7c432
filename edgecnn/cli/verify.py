"""`edgecnn verify`."""

import json
from pathlib import Path

import click

from edgecnn.cli.options import key_option


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@key_option
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
def command(bundle: Path, keys: tuple[Path, ...], as_json: bool) -> None:
    """Check that a bundle is whole and who signed it; exit 1 if nobody who is trusted did.

    \b
    edgecnn verify exports/resnet34-int8 --key release.pub
    edgecnn verify exports/resnet34-int8
    """
    from edgecnn.signing import verify

    signer = verify(bundle, keys or None)
    if as_json:
        found = {"bundle": str(bundle), "signer": signer.name, "key": signer.fingerprint}
        click.echo(json.dumps(found, indent=1))
    else:
        click.echo(f"{bundle} is whole, and signed by {signer}")
