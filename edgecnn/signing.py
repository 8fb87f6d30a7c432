"""Signing a bundle, and finding out who signed one; `edgecnn.signature` says how."""

from collections.abc import Sequence
from pathlib import Path

from edgecnn.bundle import MANIFEST, SIGNATURE, Bundle, refuse_unlisted
from edgecnn.errors import BundleError
from edgecnn.signature import PublicKey, TrustedKeys, signed, signing_key


def sign(bundle_dir: Path | str, key: Path | str) -> PublicKey:
    """Sign a whole bundle with an OpenSSH key; returns the public key.

    `key` is a private key, or a `.pub` file whose private half the ssh agent holds. What was
    signed before is signed anew. Raises `BundleError` for a bundle that is not whole or holds
    other files, `SignatureError` for a key that cannot be used.
    """
    bundle = Bundle.load(bundle_dir)
    refuse_unlisted(bundle.path, bundle.files)
    made = signed((bundle.path / MANIFEST).read_bytes(), Path(key))
    unfinished = bundle.path / f".{SIGNATURE}"
    try:
        unfinished.write_bytes(made)
        unfinished.replace(bundle.path / SIGNATURE)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise BundleError(f"Cannot write into {bundle.path}: {error.strerror}.") from None
    return signing_key(made)


def verify(
    bundle_dir: Path | str, keys: Path | str | Sequence[Path | str] | None = None
) -> PublicKey:
    """Who signed a bundle that is whole and holds nothing else.

    `keys` are files of public keys to trust, by default those installed on this machine; see
    `edgecnn.TrustedKeys`. Raises `BundleError` for a bundle that is not whole, `SignatureError`
    where none of the keys signed it.
    """
    trusted = TrustedKeys.required() if keys is None else TrustedKeys.read(keys)
    signer = Bundle.load(bundle_dir, trusted=trusted).signer
    assert signer is not None
    return signer
