"""The documentation builds into a site that needs nothing from elsewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FETCHED = re.compile(
    r'<(?:script|img|iframe|source)[^>]* src="https?://|<link[^>]*rel="stylesheet"[^>]*href="http'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    for name in ("edgecnn", "export", "targets", "calibration"):
        (folder / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [Path(sys.executable).parent / "zensical", "build", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / ".cache" / "site"


def test_every_link_leads_somewhere_and_nothing_is_fetched(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        assert not FETCHED.search(text), page
        for link in re.findall(r'(?:href|src)="([^"#:]+?)(?:#[^"]*)?"', text):
            if page.name != "404.html":
                # A folder is a page where a server says so, a list of files on a disk.
                assert (page.parent / link).is_file(), f"{page.relative_to(site)}: {link}"


def anchor(heading: str) -> str:
    """What GitHub makes of a heading for links to it."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.stem)
def test_links_beside_the_site_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        assert not link.startswith("http"), f"{link}: nothing here looks after it"
        name, _, wanted = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if wanted:
            headings = re.findall(r"^#+ (.*)", target.read_text(), re.M)
            assert wanted in map(anchor, headings), link


def test_the_functions_are_there_with_their_arguments(site: Path) -> None:
    text = (site / "python.html").read_text()
    for name in ("export", "analyze", "load", "max_drop", "calibration"):
        assert name in text


def test_every_page_can_be_found() -> None:
    listed = set(re.findall(r"- ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    docs = ROOT / "docs"
    assert listed == {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
