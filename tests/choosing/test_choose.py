"""`edgecnn choose`, from the command line to what it prints."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgecnn import zoo
from edgecnn.choosing import analyses, boards
from edgecnn.choosing.choice import choose
from edgecnn.cli.choose import command
from edgecnn.errors import CheckFailed, DataError, EdgeCnnError, UnknownName
from edgecnn.targets.engines import runtimes
from edgecnn.targets.profiling import catalogue
from edgecnn.targets.profiling.profiler import profile

PI5 = "raspberrypi-5-8gb"


@pytest.fixture(autouse=True, scope="module")
def litert_alone() -> Iterator[None]:
    """One engine, since what each takes of memory is measured."""
    with pytest.MonkeyPatch.context() as patch:
        missing = runtimes.missing
        patch.setattr(
            runtimes, "missing", lambda name: missing(name) if name == "litert" else "not here"
        )
        yield


def run(*arguments: str | int | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments)], catch_exceptions=False)


def test_it_names_networks_within_the_limits_and_where_figures_come_from(tmp_path: Path) -> None:
    page, picture = tmp_path / "choice.html", tmp_path / "choice.png"
    done = run(
        *("--board", PI5, "--latency", 30, "--ram", "200MB", "--json"),
        *("--html", page, "--picture", picture),
    )
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["front"]
    for one in found["front"]:
        ms, ram = one["latency_ms"], one["ram_bytes"]
        assert ms["value"] <= 30
        assert ram["value"] <= 200e6
        for told in (ms, ram, one["accuracy"]):
            low, high = told["interval"]
            assert low <= told["value"] <= high
        assert ms["origin"] == "predicted"
        assert "ncnn" in ms["basis"]
        assert one["accuracy"]["origin"] == "published"
        assert "https://" in one["accuracy"]["basis"]
        assert one["surely"] == (ms["interval"][1] <= 30 and ram["interval"][1] <= 200e6)
    assert any("ImageNet" in note for note in found["notes"])
    names = {one["architecture"] for one in found["front"]}
    assert all(name in page.read_text() for name in names)
    assert picture.read_bytes()[1:4] == b"PNG"


def test_the_table_says_the_same() -> None:
    done = run("--board", PI5, "--latency", 30, "--ram", "200MB")
    assert done.exit_code == 0, done.output
    assert "predicted" in done.output or "published" in done.output
    assert "int8" in done.output


def test_tighter_limits_leave_fewer() -> None:
    wide, narrow = (choose(PI5, latency_ms=ms) for ms in (60, 15))
    assert narrow.fitting < wide.fitting <= wide.considered == narrow.considered
    best = [max(x.accuracy.value for x in one.front if x.accuracy) for one in (wide, narrow)]
    assert best[0] >= best[1]


def test_nothing_fits_names_the_nearest_and_what_it_misses() -> None:
    with pytest.raises(
        CheckFailed, match=r"nearest is \w+ at .* ms where 0\.1 are allowed"
    ) as said:
        choose(PI5, latency_ms=0.1)
    assert "off" in str(said.value)
    with pytest.raises(CheckFailed, match=r"MB where 5 are"):
        choose(PI5, ram_bytes=5e6)
    with pytest.raises(CheckFailed, match=r"right where 99\.9% are asked for"):
        choose(PI5, accuracy=0.999)


def test_a_profile_from_there_takes_the_place_of_published_figures(
    small_profile: Path, tmp_path: Path
) -> None:
    before = choose("raspberrypi-4b-8gb")
    after = choose("raspberrypi-4b-8gb", profiles=[small_profile])

    def width(found: Any) -> float:
        one = next(x for x in found.candidates if (x.precision, x.threads) == ("int8", 1))
        return float(one.latency_ms.high / one.latency_ms.low)

    assert width(after) < width(before)
    bases = {one.latency_ms.basis for one in after.candidates if one.threads == 1}
    assert "measured there: 1 network" in bases
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    with pytest.raises(DataError, match="profile that"):
        choose("raspberrypi-4b-8gb", profiles=[wrong])


@pytest.fixture(scope="module")
def small_profile(tmp_path_factory: pytest.TempPathFactory, lenet5_bundle: Path) -> Path:
    """A real profile of a small bundle on this machine, as a board would give it."""
    found = profile(lenet5_bundle, runtimes="litert", threads=1, runs=5, seconds=0, processes=1)
    path = tmp_path_factory.mktemp("profiles") / "lenet5.json"
    path.write_text(json.dumps(found.to_json()))
    return path


def test_this_machine_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "GAUGES", (("lenet5", 32),))
    told: list[str] = []
    first = choose(progress=told.append)
    assert any("lenet5, 1 of 1" in one for one in told)
    assert {one.latency_ms.basis for one in first.front} == {"measured here: 1 network"}
    told.clear()
    assert choose(progress=told.append).front == first.front
    assert not any("lenet5" in one for one in told)


def test_a_board_without_figures_asks_for_a_profile(small_profile: Path) -> None:
    with pytest.raises(EdgeCnnError, match="edgecnn profile BUNDLE --json"):
        choose("jetson-nano")
    found = choose("jetson-nano", profiles=[small_profile])
    assert {one.precision for one in found.front} == {"int8"}
    with pytest.raises(UnknownName, match="raspberrypi-5-8gb"):
        choose("raspberrypi-5-8g")


def test_training_runs_are_candidates_by_their_own_pictures(
    lenet5_run: Path, small_profile: Path
) -> None:
    found = choose("jetson-nano", profiles=[small_profile], runs=[lenet5_run])
    assert {one.run for one in found.front} == {str(lenet5_run)}
    for one in found.front:
        assert one.accuracy is not None
        assert one.accuracy.origin == "measured here"
        assert one.accuracy.low <= one.accuracy.value <= one.accuracy.high
        assert "pictures" in one.accuracy.basis


def test_published_figures_are_of_networks_that_there_are_and_say_where_they_were_read() -> None:
    seen = 0
    for name in catalogue.names():
        board = catalogue.load(name)
        for table in catalogue.published(board):
            assert table.source.startswith("https://")
            assert table.precision in ("int8", "fp16", "fp32")
            assert 1 <= table.threads <= board.cores
            for network, ms in table.ms.items():
                assert zoo.get(network)
                assert 1 < ms < 10_000
                seen += 1
    assert seen > 100


def test_accuracies_are_published_for_inputs_that_are_candidates() -> None:
    known = {
        (name, side)
        for name in zoo.names()
        for side in analyses.sides(name)
        if zoo.get(name).top1(side)
    }
    assert len({name for name, _ in known}) >= 25
    for name, side in known:
        told = zoo.get(name).top1(side)
        assert told is not None
        assert 0.5 < told.share < 0.9
        assert told.source.startswith("https://")


@pytest.mark.slow
def test_finalists_are_tried_on_pictures_and_the_winner_is_ready_for_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_profile: Path
) -> None:
    """A network whose weights come with a package, on real digits."""
    from dataclasses import replace

    from edgecnn.choosing import try_out
    from edgecnn.export import network

    monkeypatch.chdir(tmp_path)
    found = choose("jetson-nano", profiles=[small_profile])
    packaged = tuple(one for one in found.candidates if one.architecture == "efficientnet_lite0")
    packaged = tuple(replace(one, side=96) for one in packaged)  # quick to train
    chosen = try_out(
        replace(found, candidates=packaged), "digits", finalists=1, head_epochs=1, epochs=1
    )
    (run,) = {one.run for one in chosen.front}
    assert run is not None
    assert network.find(Path(run)).weights.kind == "trained"
