"""Run on a board by the installation that is to run a bundle: does it give the right answers?

`python -m edgecnn.targets.deploy.check BUNDLE RUNTIME` opens the bundle as `edgecnn run` would,
which compares hashes and golden vectors, and prints what it found as JSON. Where the board trusts
any keys, one of them must have signed it.
"""

import json
import sys

from edgecnn.errors import EdgeCnnError
from edgecnn.signature import TrustedKeys
from edgecnn.targets.board.target import detect
from edgecnn.targets.classifier import load


def main(bundle: str, runtime: str) -> None:
    """Print board and engine, or exit with 1 and the reason on stderr."""
    try:
        classifier = load(bundle, runtime, trusted=TrustedKeys.installed())
    except EdgeCnnError as error:
        sys.exit(str(error))
    signer = classifier.bundle.signer
    found = {
        "signer": str(signer) if signer else None,
        "board": detect().board,
        "engine": classifier.session.engine,
        "threads": classifier.session.threads,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
