"""Who made a bundle: signed with real OpenSSH keys, and then attacked."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import edgecnn
from edgecnn import signature
from edgecnn.bundle import MANIFEST, SIGNATURE, Bundle, describe_file
from edgecnn.cli import cli
from edgecnn.errors import BundleError, SignatureError
from edgecnn.signature import TrustedKeys
from edgecnn.targets.engines import probe


def make_key(path: Path, name: str, *options: str) -> Path:
    words = [
        "ssh-keygen",
        "-q",
        "-N",
        "",
        "-C",
        name,
        "-f",
        str(path),
        *(options or ("-ted25519",)),
    ]
    subprocess.run(words, check=True)
    return path


@pytest.fixture(autouse=True)
def nobody_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature, "SYSTEM_KEYS", tmp_path / "etc/edgecnn/trusted_keys")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys") / "release", "releases 2026")


@pytest.fixture
def public(key: Path) -> Path:
    return key.with_suffix(".pub")


@pytest.fixture
def bundle(tmp_path: Path, key: Path) -> Path:
    """A real bundle, signed."""
    folder = tmp_path / "bundle"
    shutil.copytree(probe.bundle("peak").path, folder)
    edgecnn.sign(folder, key)
    return folder


def rewrite(bundle: Path, name: str, data: bytes) -> None:
    """Change a file as somebody would who knows what a bundle is: the manifest's hash too."""
    (bundle / name).write_bytes(data)
    manifest = json.loads((bundle / MANIFEST).read_text())
    files = [manifest["labels"], manifest["golden"]]
    files += [file for artifact in manifest["artifacts"].values() for file in artifact["files"]]
    (described,) = (file for file in files if file["path"] == name)
    described |= vars(describe_file(bundle, name))
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def test_signed_and_verified(bundle: Path, public: Path) -> None:
    signer = edgecnn.verify(bundle, public)
    assert signer.name == "releases 2026"
    listed = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True)
    assert signer.fingerprint == listed.stdout.split()[1]
    assert edgecnn.load(bundle, trusted=TrustedKeys.read(public)).bundle.signer == signer


def test_the_signature_is_one_of_openssh(bundle: Path, public: Path, tmp_path: Path) -> None:
    """Anybody can check it without edgecnn; docs/security.md says how."""
    signers = tmp_path / "signers"
    signers.write_text(f"us {public.read_text()}")
    options: list[str | Path] = [
        "-f",
        signers,
        "-I",
        "us",
        "-n",
        "edgecnn-bundle",
        "-s",
        bundle / SIGNATURE,
    ]
    with (bundle / MANIFEST).open() as manifest:
        subprocess.run(["ssh-keygen", "-Y", "verify", *options], stdin=manifest, check=True)


@pytest.mark.parametrize("options", [("-tecdsa",), ("-trsa", "-b2048")], ids=["ecdsa", "rsa"])
def test_other_kinds_of_keys(bundle: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    edgecnn.sign(bundle, make_key(tmp_path / "other", "other", *options))
    assert edgecnn.verify(bundle, tmp_path / "other.pub").name == "other"


def swap_labels(bundle: Path, key: Path) -> None:
    first, *rest = (bundle / "labels.txt").read_text().split()
    rewrite(bundle, "labels.txt", "\n".join([*rest, first]).encode())


def swap_golden(bundle: Path, key: Path) -> None:
    with np.load(bundle / "golden.npz") as found:
        arrays = dict(found)
    np.savez(bundle / "changed.npz", **{name: np.flip(a, -1) for name, a in arrays.items()})
    data = (bundle / "changed.npz").read_bytes()
    (bundle / "changed.npz").unlink()
    rewrite(bundle, "golden.npz", data)


def swap_model(bundle: Path, key: Path) -> None:
    rewrite(bundle, "model.tflite", probe.bundle("colours").model_file("tflite").read_bytes())


def drop_golden(bundle: Path, key: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    (bundle / manifest.pop("golden")["path"]).unlink()
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def add_a_byte_to_the_manifest(bundle: Path, key: Path) -> None:
    with (bundle / MANIFEST).open("a") as stream:
        stream.write("\n")


def take_another_signature(bundle: Path, key: Path) -> None:
    """One that the same person made of something else."""
    signed = signature.signed(b"{}", key)
    (bundle / SIGNATURE).write_bytes(signed)


def sign_for_another_purpose(bundle: Path, key: Path) -> None:
    done = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "git"],
        input=(bundle / MANIFEST).read_bytes(),
        capture_output=True,
    )
    (bundle / SIGNATURE).write_bytes(done.stdout)


@pytest.mark.parametrize(
    "attack",
    [
        *(swap_labels, swap_golden, swap_model, drop_golden),
        *(add_a_byte_to_the_manifest, take_another_signature, sign_for_another_purpose),
    ],
)
def test_whatever_was_changed_is_refused(
    bundle: Path, public: Path, key: Path, attack: Callable[[Path, Path], None]
) -> None:
    attack(bundle, key)
    Bundle.load(bundle)  # whole, as far as hashes tell
    with pytest.raises(SignatureError, match="was changed since releases 2026"):
        edgecnn.verify(bundle, public)
    with pytest.raises(SignatureError):
        edgecnn.load(bundle, trusted=TrustedKeys.read(public))


def link(path: Path) -> None:
    path.symlink_to(path.with_name("model.onnx"))


def write_below(path: Path) -> None:
    path.mkdir()
    (path / "weights.bin").write_bytes(b"x")


@pytest.mark.parametrize("add", [Path.touch, link, write_below])
def test_a_file_that_nobody_signed_is_refused(
    bundle: Path, public: Path, key: Path, add: Callable[[Path], None]
) -> None:
    add(bundle / "model.onnx.data")
    with pytest.raises(BundleError, match="does not list"):
        edgecnn.verify(bundle, public)
    with pytest.raises(BundleError, match="does not list"):
        edgecnn.sign(bundle, key)


def test_somebody_elses_signature(bundle: Path, public: Path, tmp_path: Path) -> None:
    edgecnn.sign(bundle, make_key(tmp_path / "other", "other"))
    with pytest.raises(SignatureError, match=r"signed with SHA256:\S+, which is not among"):
        edgecnn.verify(bundle, public)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"-----BEGIN SSH SIGNATURE-----\n====\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAf////8=\n-----END SSH SIGNATURE-----\n",
        b"\x00" * 200_000,
    ],
    ids=["empty", "padding", "length", "long"],
)
def test_a_signature_that_is_none(bundle: Path, public: Path, damaged: bytes) -> None:
    (bundle / SIGNATURE).write_bytes(damaged)
    with pytest.raises(SignatureError, match="signature is damaged"):
        edgecnn.verify(bundle, public)


def test_every_cut_and_every_flipped_byte_of_a_signature(bundle: Path, public: Path) -> None:
    good = (bundle / SIGNATURE).read_bytes()
    manifest = (bundle / MANIFEST).read_bytes()
    trusted = TrustedKeys.read(public)
    for at in range(0, len(good) - 1, 23):
        flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        for damaged in (good[:at], flipped):
            (bundle / SIGNATURE).write_bytes(damaged)
            with pytest.raises(SignatureError):
                trusted.signer(manifest, bundle / SIGNATURE)


def test_trusted_keys_of_the_user_and_of_the_system(
    bundle: Path, public: Path, tmp_path: Path
) -> None:
    with pytest.raises(SignatureError, match="No key is trusted here"):
        edgecnn.verify(bundle)
    other = make_key(tmp_path / "other", "other").with_suffix(".pub")
    for place in (signature.SYSTEM_KEYS, signature.user_keys()):
        place.parent.mkdir(parents=True)
        # Keys are rotated by having two for a while.
        place.write_text(f"# ours\n\n{other.read_text()}{public.read_text()}")
        assert edgecnn.verify(bundle).name == "releases 2026"
        place.write_text(other.read_text())
        with pytest.raises(SignatureError, match="not among the trusted keys"):
            edgecnn.verify(bundle)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no public key"),
        ("# nothing yet\n", "holds no public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "is a private key: give the public one"),
        ("ssh-ed25519 AAAA us\n", "no public key of OpenSSH's"),
        ('us namespaces="x" ssh-ed25519 AAAA\n', "no public key of OpenSSH's"),
        ("-----BEGIN PUBLIC KEY-----\n", "no public key of OpenSSH's"),
    ],
)
def test_files_without_keys(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(SignatureError, match=message):
        TrustedKeys.read(tmp_path / "keys")


def test_keys_that_others_can_write_are_not_trusted(public: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(public, tmp_path / "keys"))
    copy.chmod(0o666)
    with pytest.raises(SignatureError, match="Others can write"):
        TrustedKeys.read(copy)


def test_the_commands(bundle: Path, public: Path, key: Path, tmp_path: Path) -> None:
    (bundle / SIGNATURE).unlink()

    def types(*words: str | Path) -> str:
        done = CliRunner().invoke(cli, [*map(str, words)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    with pytest.raises(SignatureError, match="is not signed"):
        types("verify", bundle, "--key", public)
    assert "is signed with SHA256:" in types("sign", bundle, "--key", key)
    assert "whole, and signed by releases 2026" in types("verify", bundle, "--key", public)
    found = json.loads(types("verify", bundle, "--key", public, "--json"))
    assert found == {
        "bundle": str(bundle),
        "signer": "releases 2026",
        "key": edgecnn.verify(bundle, public).fingerprint,
    }
    runs: list[str | Path] = [
        "run",
        bundle,
        "--source",
        "synthetic",
        "--frames",
        "1",
        "--runtime",
        "litert",
    ]
    types(*runs, "--key", public, "--require-signature", "--jsonl", tmp_path / "answers")
    assert json.loads((tmp_path / "answers").read_text())["frame"] == 0
    with pytest.raises(SignatureError, match="No key is trusted here"):
        types(*runs, "--require-signature")
    other = make_key(tmp_path / "other", "other").with_suffix(".pub")
    with pytest.raises(SignatureError, match="not among"):
        types(*runs, "--key", other)


def test_a_key_that_cannot_be_used(bundle: Path, key: Path, tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match=r"`ssh-keygen -t ed25519 -f '\S+/no key'` makes one"):
        edgecnn.sign(bundle, tmp_path / "no key")
    before = (bundle / SIGNATURE).read_bytes()
    broken = tmp_path / "broken"
    broken.write_text(key.read_text()[:100])
    broken.chmod(0o600)
    with pytest.raises(SignatureError, match="Cannot sign with"):
        edgecnn.sign(bundle, broken)
    assert (bundle / SIGNATURE).read_bytes() == before
