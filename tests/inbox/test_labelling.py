"""Labels of kept frames: through the page's own HTTP interface, and in the file that is left."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner

from edgecnn import inbox
from edgecnn.cli import cli
from edgecnn.collection import Collection
from edgecnn.data import open_source
from edgecnn.errors import DataError
from edgecnn.labelling.formats import FORMATS
from edgecnn.labelling.index import build
from edgecnn.labelling.labels import Labels
from edgecnn.labelling.server import app
from edgecnn.labelling.session import Session
from edgecnn.pictures import labelled_pictures
from edgecnn.targets.classifier import load
from edgecnn.targets.engines import probe
from edgecnn.targets.live.web.access import Access

COLOURS = {"red": (0, 0, 200), "green": (0, 200, 0), "blue": (200, 0, 0)}
COUNT = 90
Talk = Callable[[TestClient[Any, Any]], Awaitable[None]]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety frames of three colours; the network takes one in five for another."""
    folder = tmp_path_factory.mktemp("kept")
    rng, names = np.random.default_rng(0), list(COLOURS)
    with Collection(folder) as collection:
        for number in range(COUNT):
            truth = names[number % 3]
            said = names[(number + (number % 5 == 0)) % 3]
            image = np.clip(COLOURS[truth] + rng.normal(0, 20, (24, 32, 3)), 0, 255)
            about: dict[str, Any] = {"why": "uncertain"}
            if number % 2:
                about = {"why": "random", "inclusion": 0.01}
            collection.add(
                cv2.imencode(".jpg", image.astype(np.uint8))[1].tobytes(),
                ".jpg",
                time=f"2026-11-27T07:00:{number % 60:02d}+00:00",
                bundle="0123456789ab",
                label=said,
                probability=0.6,
                probabilities={said: 0.6, truth: 0.4},
                moment=f"m{number // 3}",
                board="pi@eye",
                **about,
            )
    return folder


@pytest.fixture
def folder(kept: Path, tmp_path: Path) -> Path:
    """An inbox of those, whose labels nobody else sees."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox/frames").symlink_to(kept / "frames")
    (tmp_path / "inbox" / inbox.LINES).write_bytes((kept / inbox.LINES).read_bytes())
    return tmp_path / "inbox"


def colour_of(folder: Path, file: str) -> str:
    image = cv2.imread(str(folder / file))
    assert image is not None
    means = np.asarray(image).mean(axis=(0, 1))
    return {0: "blue", 1: "green", 2: "red"}[int(means.argmax())]


def visit(folder: Path, talk: Talk, *, web: str = "127.0.0.1:0") -> None:
    """Talks to the page over a real socket."""

    async def run() -> None:
        frames = inbox.read(folder)
        labels = Labels(folder, frames)
        try:
            session = Session(folder, build(folder, frames), labels, by="ann")
            async with TestClient(TestServer(app(session, Access.parse(web)))) as client:
                await talk(client)
        finally:
            labels.close()

    asyncio.run(run())


async def say(client: TestClient[Any, Any], path: str, **body: Any) -> dict[str, Any]:
    async with client.post(path, json=body) as answer:
        found = await answer.json()
        assert answer.status == 200, found
        return dict(found)


async def get(client: TestClient[Any, Any], path: str, **query: Any) -> dict[str, Any]:
    async with client.get(path, params=query) as answer:
        assert answer.status == 200
        return dict(await answer.json())


async def seen(client: TestClient[Any, Any], view: str, by: str) -> set[str]:
    """All frames that somebody is shown who goes from group to group."""
    found: set[str] = set()
    after = -1
    while True:
        group = await get(client, "/group", view=view, after=after, by=by)
        if group["group"] <= after:
            return found
        found |= {frame["file"] for frame in group["frames"]}
        after = group["group"]


async def label_all(client: TestClient[Any, Any], folder: Path, by: str, view: str) -> int:
    """As a person does who sees what the frames show; returns how many times they chose."""
    times, after = 0, -1
    while True:
        group = await get(client, "/group", view=view, after=after, by=by)
        if not group["frames"]:
            return times
        mine: dict[str, list[str]] = {}
        for frame in group["frames"]:
            mine.setdefault(colour_of(folder, frame["file"]), []).append(frame["file"])
        for label, files in mine.items():
            await say(client, "/label", files=files, label=label, by=by, view=view)
            times += 1
        after = group["group"] - 1


def test_from_the_first_group_to_training(folder: Path) -> None:
    async def talk(client: TestClient[Any, Any]) -> None:
        for path in ("/", "/page.css", "/page.js"):
            async with client.get(path) as answer:
                assert answer.status == 200
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        before = await get(client, "/state")
        assert (before["frames"], before["labelled"], before["random"]) == (COUNT, 0, COUNT // 2)
        assert before["accuracy"] is None
        # Alike ones come together: far fewer decisions than frames.
        assert await label_all(client, folder, "ann", "alike") < COUNT / 3
        state = await get(client, "/state")
        assert state["labelled"] == COUNT
        assert {one["label"]: one["count"] for one in state["classes"]} == dict.fromkeys(
            COLOURS, 30
        )
        assert state["accuracy"]["value"] == pytest.approx(0.8)
        assert state["accuracy"]["low"] < 0.8 < state["accuracy"]["high"]
        assert state["accuracy"]["count"] == COUNT // 2

    visit(folder, talk)
    pictures = labelled_pictures(folder)
    assert all(one.label == colour_of(folder, f"frames/{one.path.name}") for one in pictures)
    data = open_source(folder)
    assert data.labels == ("blue", "green", "red")
    tested, trained = (
        {split.frames.moment(index) for index in range(len(split.frames))}
        for split in (data.test, data.train)
    )
    assert None not in tested | trained
    assert not tested & trained
    assert (folder / "labels.csv").read_text().splitlines()[0] == (
        "file,label,board,moment,why,inclusion,by"
    )


def test_what_two_people_say_and_take_back(folder: Path) -> None:
    files = [one.file for one in inbox.read(folder)]

    async def talk(client: TestClient[Any, Any]) -> None:
        give = {"view": "alike"}
        await say(client, "/label", files=files[:3], label="red", by="ann", **give)
        await say(client, "/label", files=files[:2], label="a new one", by="ben", **give)
        await say(client, "/label", files=files[3:4], label="none of mine", by="ben", **give)
        state = await get(client, "/state")
        assert (state["labelled"], state["disputed"]) == (4, 2)
        assert {"label": "red", "count": 1} in state["classes"]
        shown = await get(client, "/group", view="disputed", by="cleo")
        assert [one["others"] for one in shown["frames"]] == [
            {"ann": "red", "ben": "a new one"}
        ] * 2
        # Who comes later sees what nobody labelled, or what only others did.
        for view, expected in (("alike", set(files[4:])), ("second", set(files[:4]))):
            assert await seen(client, view, "cleo") == expected
        assert await seen(client, "second", "ben") == {files[2]}
        # Ben's is not what Ann takes back.
        assert (await say(client, "/undo", by="ann", view="alike"))["undone"] == 3
        assert (await get(client, "/state"))["disputed"] == 0
        assert (await say(client, "/undo", by="ann", view="alike"))["undone"] == 0
        await say(client, "/label", files=files[:2], label="red", by="ann", **give)
        # In the view of disputes a label is the last word.
        await say(client, "/label", files=files[:1], label="blue", by="cleo", view="disputed")
        assert (await get(client, "/state"))["disputed"] == 1

    visit(folder, talk)
    assert [(f"frames/{one.path.name}", one.label) for one in labelled_pictures(folder)] == [
        (files[0], "blue")
    ]

    async def again(client: TestClient[Any, Any]) -> None:
        state = await get(client, "/state")
        assert (state["labelled"], state["disputed"]) == (3, 1)

    visit(folder, again)


def test_another_network_answers_and_groups(folder: Path) -> None:
    """`--bundle`: its answers are suggested and judged, whatever answered on the board."""
    frames = inbox.read(folder)
    classifier = load(probe.bundle("colours").path, "litert", 1, self_check=False)
    index = build(folder, frames, classifier)
    assert [one.label for one in index.answers] == [colour_of(folder, one.file) for one in frames]
    for group in index.groups:
        assert len({index.answers[place].label for place in group}) == 1
    assert sorted(place for group in index.groups for place in group) == list(range(COUNT))
    # Looked at once; another means looks anew.
    looked: list[int] = []
    again = build(folder, frames, classifier, lambda done, of: looked.append(of))
    assert again.answers == index.answers
    assert not looked
    build(folder, frames, None, lambda done, of: looked.append(of))
    assert looked
    labels = Labels(folder, frames)
    for frame in frames:
        labels.give([frame.file], colour_of(folder, frame.file), "ann")
    session = Session(folder, index, labels, by="ann")
    assert session.state()["accuracy"]["value"] == 1.0
    labels.close()


def test_the_newest_network_is_the_last_that_kept_a_frame(folder: Path) -> None:
    """Whatever its time says: many boards have no clock while they are switched off."""
    first, *_, last = lines = (folder / inbox.LINES).read_text().splitlines()
    changed = last.replace("0123456789ab", "ba9876543210").replace("2026-11-27", "1970-01-01")
    assert changed != last
    assert first != last
    (folder / inbox.LINES).write_text("\n".join([*lines[:-1], changed, ""]))
    assert build(folder, inbox.read(folder)).bundle == "ba9876543210"


def test_an_easy_start_does_not_flatter_the_network(folder: Path) -> None:
    """Only an unbroken beginning of the random stream, in its own order, tells the accuracy."""
    frames = inbox.read(folder)
    right = [one.file for one in frames if one.label == colour_of(folder, one.file)]

    async def talk(client: TestClient[Any, Any]) -> None:
        for file in right:
            label = colour_of(folder, file)
            await say(client, "/label", files=[file], label=label, by="ann", view="alike")
        known = (await get(client, "/state"))["accuracy"]
        assert known is None or known["count"] < len(right) / 4
        await label_all(client, folder, "ann", "random")
        assert (await get(client, "/state"))["accuracy"]["value"] == pytest.approx(0.8)

    visit(folder, talk)


def test_who_may_not(folder: Path) -> None:
    file = inbox.read(folder)[0].file
    label = {"files": [file], "label": "red", "by": "ann", "view": "alike"}

    async def talk(client: TestClient[Any, Any]) -> None:
        wrong: list[tuple[dict[str, Any], int]] = [
            ({"json": label, "headers": {"Origin": "http://elsewhere.example"}}, 403),
            ({"data": json.dumps(label), "headers": {"Content-Type": "text/plain"}}, 403),
            ({"json": label, "headers": {"Host": "elsewhere.example"}}, 403),
            ({"json": label | {"files": ["frames/../../x"]}}, 400),
            ({"json": label | {"files": []}}, 400),
            ({"json": label | {"label": "two\nlines"}}, 400),
            ({"json": label | {"label": ""}}, 400),
            ({"json": label | {"by": ""}}, 400),
            ({"json": label | {"view": "all"}}, 400),
            ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ]
        for given, status in wrong:
            async with client.post("/label", **given) as answer:
                assert answer.status == status, given
        for path in (
            "/frames/x.jpg",
            "/frames/..%2F..%2Flabels.csv",
            "/frames/%2e%2e/frames.jsonl",
        ):
            async with client.get(path) as answer:
                assert answer.status == 404
        async with client.get(f"/{file}") as answer:
            assert answer.content_type == "image/jpeg"
            assert (await answer.read()).startswith(b"\xff\xd8")

    visit(folder, talk)
    assert not (folder / "labels.csv").exists()

    async def stranger(client: TestClient[Any, Any]) -> None:
        address = client.make_url("/state")
        async with ClientSession() as other, other.get(address) as answer:
            assert answer.status == 401

    visit(folder, stranger, web="0.0.0.0:0")


@pytest.mark.parametrize("kind", FORMATS)
def test_labels_go_out_and_come_back(kind: str, folder: Path, tmp_path: Path) -> None:
    frames = inbox.read(folder)
    labels = Labels(folder, frames)
    for label in COLOURS:
        mine = [one.file for one in frames if colour_of(folder, one.file) == label]
        labels.give(mine[:20], label, "ann")
    labels.close()
    before = {one.path.name: one.label for one in labelled_pictures(folder)}
    said = CliRunner().invoke(cli, ["label", str(folder), "--export", kind, str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    if kind in ("folder", "csv"):
        # csv names pictures relative to the inbox.
        given = tmp_path / "out"
        if kind == "csv":
            given = (tmp_path / "out").rename(folder / "out.csv")
        assert {one.path.name: one.label for one in labelled_pictures(given)} == before
        given.rename(tmp_path / "out")
    (folder / "labels.csv").unlink()
    words = ["label", str(folder), "--import", kind, str(tmp_path / "out"), "--by", "ben"]
    taken = CliRunner().invoke(cli, words)
    assert taken.exit_code == 0, taken.output
    assert {one.path.name: one.label for one in labelled_pictures(folder)} == before
    again = CliRunner().invoke(cli, ["label", str(folder), "--export", kind, str(tmp_path / "out")])
    assert isinstance(again.exception, DataError)


def test_labels_that_are_none(folder: Path, tmp_path: Path) -> None:
    for kind in FORMATS:
        words = ["label", str(folder), "--import", kind, str(tmp_path / "nothing")]
        assert isinstance(CliRunner().invoke(cli, words).exception, DataError)
    (folder / "labels.csv").write_text("file,label\nframes/x.jpg,red\n")
    with pytest.raises(DataError, match=r"line 2: 'frames/x\.jpg' is no frame"):
        Labels(folder, inbox.read(folder))
    first = Labels(tmp_path, [])
    with pytest.raises(DataError, match="by another program"):
        Labels(tmp_path, [])
    first.close()
    (folder / "labels.csv").unlink()
    with pytest.raises(DataError, match="label it"):
        open_source(folder)


def test_a_frame_that_somebody_took_away(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the page is open, or later: the others go on, and its label waits for it."""
    frames = inbox.read(folder)
    files = [one.file for one in frames]
    own = shutil.copytree(folder / "frames", folder / "own")
    (folder / "frames").unlink()
    own.rename(folder / "frames")

    async def talk(client: TestClient[Any, Any]) -> None:
        await say(client, "/label", files=files[:2], label="red", by="ann", view="alike")
        (folder / files[1]).unlink()
        async with client.get(f"/{files[1]}") as answer:
            assert answer.status == 400
        await say(client, "/label", files=files[1:4], label="blue", by="ann", view="alike")

    visit(folder, talk)

    async def again(client: TestClient[Any, Any]) -> None:
        assert (await get(client, "/state"))["labelled"] == 3
        await say(client, "/label", files=files[4:5], label="blue", by="ann", view="alike")

    visit(folder, again)
    rows = (folder / "labels.csv").read_text()
    assert rows.count(files[1]) == 1
    assert len(labelled_pictures(folder)) == 4
    assert (
        f"1 labelled frames that are no longer there, the first {folder / files[1]}" in caplog.text
    )


def test_broken_pictures_are_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = inbox.read(folder)
    own = shutil.copytree(folder / "frames", folder / "own")
    (folder / "frames").unlink()
    own.rename(folder / "frames")
    for one, data in zip(frames[:3], (b"", b"\xff\xd8\xff", b"text"), strict=True):
        (folder / one.file).write_bytes(data)
    index = build(folder, frames)
    assert [one.file for one in index.frames] == [one.file for one in frames[3:]]
    assert "3 frames that are no whole pictures" in caplog.text


@pytest.mark.parametrize("label", ["../x", "a/b", ".hidden", "x" * 100 + "🌷" * 50])
def test_an_export_that_fails_leaves_nothing(label: str, folder: Path, tmp_path: Path) -> None:
    files = [one.file for one in inbox.read(folder)]
    labels = Labels(folder, inbox.read(folder))
    labels.give(files[:3], "red", "ann")
    if len(label) > 100:
        label = "🌷" * 100
    labels.give(files[3:6], label, "ann")
    labels.close()
    words = ["label", str(folder), "--export", "folder", str(tmp_path / "out")]
    assert isinstance(CliRunner().invoke(cli, words).exception, DataError)
    assert not (tmp_path / "out").exists()


def test_labels_with_any_letters_come_back(folder: Path, tmp_path: Path) -> None:
    files = [one.file for one in inbox.read(folder)]
    names = ['a, "b"', "🌷 tulip", "none", "=1+1", "../x", "'; --", "x" * 100]
    labels = Labels(folder, inbox.read(folder))
    for name, file in zip(names, files, strict=False):
        labels.give([file], name, 'Ann "A", Esq.')
    labels.close()
    again = Labels(folder, inbox.read(folder))
    assert [again.truth(file) for file in files[: len(names)]] == names
    again.close()
    assert {one.label for one in labelled_pictures(folder)} == set(names)


NAMED_BY_OTHERS = (
    "/home/ann/inbox/frames/{}.jpg",
    "C:\\Users\\ann\\frames\\{}.jpg",
    "/data/upload/3/1a2b3c4d-{}.jpg",
    "{}_jpg.rf.9e107d9d372bb6826bd81d3542a419d6.jpg",
    "s3://bucket/{}.jpg?versionId=3",
)


@pytest.mark.parametrize("form", NAMED_BY_OTHERS)
def test_what_other_tools_make_of_a_name(form: str, folder: Path, tmp_path: Path) -> None:
    mine = [Path(one.file).stem for one in inbox.read(folder)][:4]
    given = tmp_path / "given.json"
    images = [{"id": n, "file_name": form.format(stem)} for n, stem in enumerate(mine)]
    images.append({"id": 99, "file_name": form.format("f" * 24)})
    given.write_text(
        json.dumps(
            {
                "images": images,
                "categories": [{"id": 7, "name": "rosé"}],
                "annotations": [{"image_id": one["id"], "category_id": 7} for one in images],
            }
        )
    )
    words = ["label", str(folder), "--import", "coco", str(given), "--by", "ben"]
    said = CliRunner().invoke(cli, words)
    assert said.exit_code == 0, said.output
    assert "labels of 4 frames taken" in said.output
    assert "1 pictures are not of this inbox" in said.output
    assert [one.label for one in labelled_pictures(folder)] == ["rosé"] * 4


def test_an_import_is_taken_whole_or_not_at_all(folder: Path, tmp_path: Path) -> None:
    files = [one.file for one in inbox.read(folder)]
    rows = [f"{file},red" for file in files[:5]] + [f"{files[5]},a\u202eb"]
    (tmp_path / "given.csv").write_text("file,label\n" + "\n".join(rows))
    words = ["label", str(folder), "--import", "csv", str(tmp_path / "given.csv")]
    found = CliRunner().invoke(cli, words).exception
    assert isinstance(found, DataError)
    assert "given.csv: " in str(found)
    assert not (folder / "labels.csv").exists()
    for choices in ("red", [3], [["red"]], {"red": 1}):
        task = {
            "data": {"image": files[0]},
            "annotations": [{"result": [{"type": "choices", "value": {"choices": choices}}]}],
        }
        (tmp_path / "given.json").write_text(json.dumps([task]))
        words = ["label", str(folder), "--import", "label-studio", str(tmp_path / "given.json")]
        assert "is no export of Label Studio" in str(CliRunner().invoke(cli, words).exception)
