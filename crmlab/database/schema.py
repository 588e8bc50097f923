"""The schema of the customer database: which tables there are, what a row is, and how rows are told apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crmlab.contracts import FIELDS, Kind

__all__ = ["TABLES", "Column", "Table"]


@dataclass(frozen=True)
class Column:
    """A column that a table always has.

    Attributes
    ----------
    name : str
        Name of the column.
    type : {"id", "date", "number", "text", "count"}
        Ids are text or whole numbers, as they came; counts are whole numbers.
    description : str
        Meaning and unit.
    """

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Table:
    """A table of the customer database.

    Attributes
    ----------
    name : str
        Name of the table.
    row : str
        What one row is.
    columns : tuple of Column
        Columns that are always there; a table keeps further columns of its source after them.
    key : tuple of str
        Columns that tell rows apart.
    references : mapping of str to str
        Column to the table whose key it is.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    references: Mapping[str, str] = field(default_factory=dict)


def _contract(kind: Kind, *names: str) -> tuple[Column, ...]:
    """Columns as the contract describes them: all, or those named."""
    described = {f.name: Column(f.name, f.type, f.description) for f in FIELDS[kind]}
    return tuple(described[name] for name in names or described)


_OCCURRENCE = Column("occurrence", "count", "1, 2, ... among rows that agree in the rest of the key")
_EVENT_KEY = ("campaign_id", "customer_id", "date", "occurrence")
_EVENT_LINKS = {"campaign_id": "campaigns", "customer_id": "customers"}
_ORDER = Column("order_id", "id", "the order; customer@date where the log names none")
_LOADS = (
    Column("load_id", "count", "1, 2, ... in the order of loading; a load starts again at 1"),
    Column("kind", "text", "load or refresh"),
    Column("table_name", "text", "the table"),
    Column("new", "count", "rows added"),
    Column("changed", "count", "rows of known key in which another column changed"),
    Column("unchanged", "count", "rows that were there already"),
    Column("referenced", "count", "rows added with the key alone, because another table names it"),
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table("customers", "a customer", _contract("customers"), ("customer_id",)),
        Table("products", "a product", _contract("products"), ("product_id",)),
        Table("campaigns", "a campaign", _contract("campaigns"), ("campaign_id",)),
        Table(
            "orders",
            "an order, invoice or basket; where the log names none, a customer's rows of one date",
            (_ORDER, *_contract("transactions", "customer_id", "date", "channel")),
            ("order_id",),
            {"customer_id": "customers"},
        ),
        Table(
            "lines",
            "a line of an order",
            (_ORDER, *_contract("transactions", "product_id", "quantity", "amount"), _OCCURRENCE),
            ("order_id", "product_id", "occurrence"),
            {"order_id": "orders", "product_id": "products"},
        ),
        Table(
            "contacts",
            "a customer contacted by a campaign",
            (*_contract("contacts"), _OCCURRENCE),
            _EVENT_KEY,
            _EVENT_LINKS,
        ),
        Table(
            "responses",
            "a response of a customer to a campaign",
            (*_contract("responses"), _OCCURRENCE),
            _EVENT_KEY,
            _EVENT_LINKS,
        ),
        Table("loads", "what one load or refresh did to one table", _LOADS, ("load_id", "table_name")),
    )
}
"""All tables by name, parents before children."""
