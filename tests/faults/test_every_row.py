"""Every row of the tables of failing services, of storage and of operations has a test that bears its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROWS = {
    "F": (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 13, 14, 16, 17, 18, 21, 22, 23, 24),
    "J": (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15),
    "L": (1, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14),
}
NAMED = {
    row
    for path in TESTS.rglob("test_*.py")
    for name in re.findall(r"^def test_((?:[A-Z]\d\d_)+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    for row in name.strip("_").split("_")
}


@pytest.mark.parametrize("row", [f"{table}{number:02}" for table, numbers in ROWS.items() for number in numbers])
def test_a_row_has_a_test(row: str) -> None:
    assert row in NAMED
