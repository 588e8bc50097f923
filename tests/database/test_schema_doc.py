"""docs/schema.md draws the schema that the code has."""

import re
from pathlib import Path

import pytest

from crmlab.database.schema import TABLES

DOC = (Path(__file__).parents[2] / "docs" / "schema.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_every_table_is_drawn_with_its_columns_and_keys(table):
    drawn = re.search(rf"^    {table.name} {{\n(.*?)^    }}", DOC, flags=re.DOTALL | re.MULTILINE)
    assert drawn is not None
    marks = {
        column.name: ", ".join(["PK"] * (column.name in table.key) + ["FK"] * (column.name in table.references))
        for column in table.columns
    }
    expected = [f"{column.type} {column.name} {marks[column.name]}".strip() for column in table.columns]
    assert [line.strip() for line in drawn[1].splitlines()] == expected
    assert f"| `{table.name}` | {table.row} | {', '.join(f'`{name}`' for name in table.key)} |" in DOC


def test_every_reference_is_drawn_and_no_other():
    drawn = set(re.findall(r'^    (\w+) \S+ (\w+) : "(\w+)"', DOC, flags=re.MULTILINE))
    assert drawn == {
        (parent, table.name, column) for table in TABLES.values() for column, parent in table.references.items()
    }
