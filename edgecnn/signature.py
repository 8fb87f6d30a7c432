"""Who made a bundle: its signature, as OpenSSH makes and checks them (`ssh-keygen -Y`).

`manifest.json.sig` is an SSHSIG (OpenSSH's PROTOCOL.sshsig) over the very bytes of `manifest.json`,
which hold the hash of every other file, in the namespace `edgecnn-bundle`. Keys are OpenSSH's, so
that passphrases, agents and security keys work as for SSH, and every board that `deploy` reaches
has what checks them.
"""

import base64
import binascii
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgecnn.errors import EdgeCnnError, SignatureError
from edgecnn.shell import typed

NAMESPACE = "edgecnn-bundle"
SYSTEM_KEYS = Path("/etc/edgecnn/trusted_keys")
LARGEST = 64 * 1024
"""Bytes of a signature or of a file of keys; both are far smaller."""
ARMOUR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)-----END SSH SIGNATURE-----\n?"
)
MAGIC = b"SSHSIG"
KEY = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)\s+([A-Za-z0-9+/]+=*)(?:\s+(.*))?")


@dataclass(frozen=True)
class PublicKey:
    """A public key as `ssh-keygen` writes it into a `.pub` file."""

    kind: str
    """`ssh-ed25519`, for one."""
    blob: bytes
    name: str = ""
    """The comment behind it."""

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it: the key's id."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint})" if self.name else self.fingerprint


@dataclass(frozen=True)
class TrustedKeys:
    """Whose bundles are taken."""

    keys: tuple[PublicKey, ...]
    files: tuple[Path, ...]
    """Where they stand."""

    @classmethod
    def read(cls, files: Path | str | Sequence[Path | str]) -> Self:
        """From `.pub` files, or files with such a key a line.

        Raises `SignatureError` for one that cannot be read, holds none, or can be written by
        others.
        """
        paths = (Path(files),) if isinstance(files, str | Path) else tuple(map(Path, files))
        return cls(tuple(key for path in paths for key in _keys_in(path)), paths)

    @classmethod
    def installed(cls) -> Self | None:
        """Those that this machine and this user trust; None where neither has said any.

        They stand in `/etc/edgecnn/trusted_keys` and `~/.config/edgecnn/trusted_keys`.
        """
        found = [path for path in (SYSTEM_KEYS, user_keys()) if path.is_file()]
        return cls.read(found) if found else None

    @classmethod
    def required(cls, files: Sequence[Path | str] = ()) -> Self:
        """From these files, else the installed ones; raises `SignatureError` where none are."""
        found = cls.read(files) if files else cls.installed()
        if found is None:
            raise SignatureError(
                f"No key is trusted here: name one with --key, or put it into {user_keys()} or "
                f"{SYSTEM_KEYS}."
            )
        return found

    def signer(self, manifest: bytes, signature: Path) -> PublicKey:
        """Whose signature of these bytes it is; raises `SignatureError` if nobody's here."""
        bundle = signature.parent
        if not signature.is_file():  # a pipe would be waited for
            raise SignatureError(
                f"{bundle} is not signed: `edgecnn sign` does it, with a key that is trusted here."
            )
        try:
            with signature.open("rb") as stream:
                armoured = stream.read(LARGEST)
        except OSError as error:
            raise SignatureError(f"Cannot read {signature}: {error.strerror}.") from None
        made_by = signing_key(armoured)
        for key in self.keys:
            if key.blob == made_by.blob:
                break
        else:
            raise SignatureError(
                f"{bundle} is signed with {made_by}, which is not among the trusted keys in "
                f"{', '.join(map(str, self.files))}."
            )
        if not _is_good(manifest, armoured, key):
            raise SignatureError(
                f"{bundle} was changed since {key} signed it, or signed for another purpose: get "
                "it again."
            )
        return key


def user_keys() -> Path:
    """Where a user's own trusted keys stand."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / (
        "edgecnn/trusted_keys"
    )


def check_key(key: Path) -> None:
    """Raise `SignatureError` where there is no such key."""
    if not key.is_file():
        command = typed("ssh-keygen", "-t", "ed25519", "-f", key)
        raise SignatureError(f"There is no key {key}: `{command}` makes one.")


def signed(manifest: bytes, key: Path) -> bytes:
    """The signature of these bytes with a private key, or with a `.pub` whose key an agent holds.

    `ssh-keygen` asks for its passphrase. Raises `SignatureError`.
    """
    check_key(key)
    done = _ssh_keygen("-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, given=manifest)
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").replace("@", "").split())
        raise SignatureError(f"Cannot sign with {key}: {said or 'ssh-keygen gives no reason'}")
    return done.stdout


def signing_key(armoured: bytes) -> PublicKey:
    """The key that a signature says it was made with; raises `SignatureError` if it is none."""
    found = ARMOUR.fullmatch(armoured)
    try:
        raw = base64.b64decode(found[1], validate=False) if found else b""
    except binascii.Error:
        raw = b""
    # The magic, a version, and the key with its length in front, which begins with its kind.
    key = _string(raw, len(MAGIC) + 4)
    kind = _string(key, 0)
    if not raw.startswith(MAGIC) or not kind:
        raise SignatureError("The signature is damaged: get the bundle again.")
    return PublicKey(kind.decode("ascii", "replace"), key)


def _string(data: bytes, at: int) -> bytes:
    length = int.from_bytes(data[at : at + 4], "big")
    return data[at + 4 : at + 4 + length]


def _is_good(manifest: bytes, armoured: bytes, key: PublicKey) -> bool:
    with tempfile.TemporaryDirectory() as name:
        signers, signature = Path(name) / "signers", Path(name) / "signature"
        signature.write_bytes(armoured)
        blob = base64.b64encode(key.blob).decode()
        signers.write_text(f'signer namespaces="{NAMESPACE}" {key.kind} {blob}\n')
        check = ("-Y", "verify", "-f", str(signers), "-I", "signer", "-n", NAMESPACE)
        done = _ssh_keygen(*check, "-s", str(signature), given=manifest)
    return done.returncode == 0


def _ssh_keygen(*words: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise EdgeCnnError(
            "Signatures need the ssh-keygen command: sudo apt install openssh-client"
        )
    return subprocess.run([program, *words], input=given, capture_output=True)


def _keys_in(path: Path) -> list[PublicKey]:
    if not path.is_file():
        raise SignatureError(f"There is no file of public keys {path}.")
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            text = stream.read(LARGEST).decode(errors="replace")
    except OSError as error:
        raise SignatureError(f"Cannot read the keys in {path}: {error.strerror}.") from None
    if os.name == "posix" and mode & 0o022:
        raise SignatureError(f"Others can write {path}, whose keys are to be trusted: chmod go-w.")
    if "PRIVATE KEY" in text:
        raise SignatureError(f"{path} is a private key: give the public one, {path}.pub.")
    keys = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = KEY.fullmatch(line.strip())
        try:
            blob = base64.b64decode(found[2], validate=True) if found else b""
        except binascii.Error:
            blob = b""
        if not found or _string(blob, 0) != found[1].encode():
            raise SignatureError(
                f"{path} has a line that is no public key of OpenSSH's (ssh-ed25519 AAAA... NAME): "
                f"{line.strip()[:40]!a}."
            )
        keys.append(PublicKey(found[1], blob, found[3] or ""))
    if not keys:
        raise SignatureError(f"{path} holds no public key.")
    return keys
