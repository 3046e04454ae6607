"""The page of an evaluation: what it sets in bold, and what it compares."""

from __future__ import annotations

import re

import pytest

from tests.evaluation.test_summary import scored
from tracker.evaluation import report, summary

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


def page_of(monkeypatch, shares, expected=6) -> str:
    """The page of trackers with a share of each target, ``None`` where they crashed."""
    found = {
        name: {f"a/s{i}": scored("a", i, share) for i, share in enumerate(given) if share}
        for name, given in shares.items()
    }
    made = summary.summarise(found, {"a": expected}, {})
    for key, names in made.attributes.items():  # a clip has what it has, and the easy ones these
        names += ["one", "two", "three"] if key != "a/s4" else []
    monkeypatch.setattr(report, "worst_moments", lambda scores: [])
    return report.render(made, {})


HARD = (0.9, 0.8, 0.7, 0.9, 0.1, 0.8)
CRASHED = (0.85, 0.75, 0.65, 0.85, None, 0.75)


def bold(page: str) -> list[str]:
    """Trackers with a figure in bold."""
    rows = re.findall(r"<tr>.*?</tr>", page, re.S)
    return [re.search(r"</span>([^<]+)</td>", row)[1] for row in rows if "<b>" in row]


def test_who_crashed_on_the_hard_clips_is_not_set_in_bold(monkeypatch):
    page = page_of(monkeypatch, {"ours": HARD, "crashed": CRASHED})
    assert bold(page) == ["ours"] and "5 of 6" in page
    assert len(re.findall(r"crashed  [01]\.\d{3}  \(5 of 6\)", page)) == 3, "in each legend"
    assert not re.search(r"ours  [01]\.\d{3}  \(", page)
    assert bold(page_of(monkeypatch, {"ours": CRASHED, "other": CRASHED})) == []


def test_attributes_are_compared_on_the_clips_that_all_have(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        report.plots, "attribute_radar", lambda found, order: drawn.append(found) or "<svg>"
    )
    page = page_of(
        monkeypatch, {"ours": HARD, "crashed": CRASHED, "late": (None, 0.5, 0.5, 0.5, 0.5, 0.5)}
    )
    counts = {name: count for name, (_, count) in drawn[0]["ours"].items()}
    assert counts["one"] == 4 == len({"s1", "s2", "s3", "s5"})
    assert {t: found["one"][1] for t, found in drawn[0].items()} == dict.fromkeys(drawn[0], 4)
    assert "over the 4 sequences that all trackers have" in " ".join(page.split())
