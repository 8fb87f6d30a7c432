"""`edgecnn sign`."""

from pathlib import Path

import click


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    required=True,
    metavar="KEY",
    help="OpenSSH key to sign with; a .pub file where the ssh agent holds its private half.",
)
def command(bundle: Path, key: Path) -> None:
    """Sign a bundle, so that boards can tell who made it.

    The signature, manifest.json.sig, covers every file. Keys are OpenSSH's.

    \b
    ssh-keygen -t ed25519 -f ~/.ssh/release -C "releases 2026"
    edgecnn sign exports/resnet34-int8 --key ~/.ssh/release
    edgecnn verify exports/resnet34-int8 --key ~/.ssh/release.pub
    """
    from edgecnn.signing import sign

    click.echo(f"{bundle} is signed with {sign(bundle, key).fingerprint}")
