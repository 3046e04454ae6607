"""The documents: every link leads somewhere, and the lists of clips can be given to ``--only``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tracker.evaluation.options import some_names

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "weights" / "README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may end with, as GitHub makes it."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_a_list_of_clips_has_each_name_once():
    lists = sorted((ROOT / "docs" / "clips").glob("*.txt"))
    assert lists
    for path in lists:
        names = path.read_text(encoding="utf-8").splitlines()
        assert len(names) == int(path.stem)
        assert some_names(",".join(names)) == names, path.name
