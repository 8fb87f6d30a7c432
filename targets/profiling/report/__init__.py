"""A profile, an analysis or a bundle as one HTML page that needs no network and no script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecnn.errors import EdgeCnnError, require
from edgecnn.targets.profiling.profile import Profile
from edgecnn.targets.profiling.report import answers, charts, choice
from edgecnn.targets.profiling.report.over_time import course
from edgecnn.targets.profiling.report.roofline import RooflineChart, roofline


class MissingValue(Exception):
    """A page asks for what it was not given."""


def check_installed() -> None:
    """Raise `MissingExtra` where the template engine is not installed."""
    require("jinja2", what="An HTML report", package="jinja2", extra="report")


def render(
    profile: Profile,
    analysis: Mapping[str, Any] | None,
    artifacts: Mapping[str, Any] | None = None,
) -> str:
    """The page.

    `analysis` is the bundle's RAM analysis as JSON, None if it has none; `artifacts` what its
    manifest says of them.
    """
    return _page(
        "profile.html",
        profile=profile,
        best=profile.best,
        analysis=analysis,
        timeline=charts.timeline(analysis) if analysis else None,
        comparisons=charts.comparisons(profile.runs),
        operators=[(charts.name_of(r), charts.operators(r)) for r in profile.runs if r.layers],
        histograms=[charts.histogram(run) for run in profile.runs],
        courses=[found for run in profile.runs if (found := course(run))],
        diagrams=answers.diagrams(artifacts or {}),
        statements=answers.statements(artifacts or {}),
        rooflines=_rooflines(profile, analysis) if analysis else [],
    )


def render_analysis(analysis: Mapping[str, Any]) -> str:
    """The page of a RAM analysis as JSON: memory over the layers, point at one."""
    return _page("analysis.html", analysis=analysis, timeline=charts.timeline(analysis))


def render_bundle(manifest: Mapping[str, Any], **looked: Any) -> str:
    """The page of a bundle, given its manifest and what `edgecnn.export.show` looked at."""
    ratios: Mapping[str, Mapping[str, float]] = manifest.get("layers_sqnr_db", {})
    return _page(
        "bundle.html",
        manifest=manifest,
        ratios=ratios,
        layer_errors={name: charts.layer_errors(found) for name, found in ratios.items() if found},
        diagrams=answers.diagrams(manifest["artifacts"]),
        **looked,
    )


def render_choice(found: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]]) -> str:
    """The page of `edgecnn choose`: its JSON, and all candidates within the limits as JSON."""
    return _page("choice.html", found=found, chart=choice.scatter(found, candidates))


def _page(template: str, **values: Any) -> str:
    check_installed()
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgecnn.targets.profiling", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["mb"] = lambda count: f"{count / 1e6:,.1f}"
    environment.filters["kb"] = lambda count: f"{count / 1e3:,.1f}"
    try:
        return environment.get_template(template).render(**values)
    except jinja2.UndefinedError as error:
        raise MissingValue(str(error)) from None


def _rooflines(profile: Profile, analysis: Mapping[str, Any]) -> list[RooflineChart]:
    return [drawn for run in profile.runs if (drawn := roofline(run, analysis))]


def write(page: str, path: Path) -> None:
    """Write the page; raises `EdgeCnnError` where that is not possible."""
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise EdgeCnnError(f"Cannot write {path}: {error.strerror}.") from None
