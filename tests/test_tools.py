"""What the tools say of themselves."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TOOLS = sorted((Path(__file__).resolve().parent.parent / "tools").glob("*.py"))


@pytest.mark.parametrize("path", TOOLS, ids=lambda p: p.name)
def test_examples_can_be_copied_from_the_help(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert not re.search(r"\S {3,}--", text), "a backslash at the end of a line was taken for one"
