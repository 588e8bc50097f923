"""docs/company.md draws the tables that the data card describes, and says which scenario has which."""

import re
from pathlib import Path

from crmlab.datasets.cards import read_card
from crmlab.datasets.company import scenario, scenario_names
from crmlab.datasets.company.firm import SOURCES, tables_of

DOC = (Path(__file__).parents[3] / "docs" / "company.md").read_text(encoding="utf-8")
CARD = read_card("company")


def test_the_card_describes_every_table():
    assert sorted(table.name for table in CARD.tables) == sorted(SOURCES)


def test_every_reference_is_drawn_and_no_other():
    drawn = re.findall(r'^    (\w+) \S+ (\w+) : "(\w+)"', DOC, flags=re.MULTILINE)
    seen = [table for table in CARD.tables if not table.name.startswith("truth/")]
    links = [
        (column.references, table.name, column.name)
        for table in seen
        for column in table.columns
        if column.references and not column.references.startswith("truth/")
    ]
    assert sorted(drawn) == sorted(links)


def test_every_table_is_listed_with_its_scenarios():
    order = ["grocer", "hotel", "subscription", "maker", "textbook"]
    assert sorted(order) == list(scenario_names())
    for table in CARD.tables:
        marks = ["yes" if table.name in tables_of(scenario(name)) else "" for name in order]
        row = [f"`{table.name}`", table.description.removeprefix("one row is "), *marks]
        assert f"| {' | '.join(row)} |" in DOC
    assert all(f"| `{name}` |" in DOC for name in order)
