"""The schema of the customer database: which tables there are, what a row is, and how rows are told apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crmlab.contracts import FIELDS, Field, Kind


@dataclass(frozen=True)
class Table:
    """A table of the customer database.

    Attributes
    ----------
    name : str
        Name of the table.
    row : str
        What one row is.
    columns : tuple of Field
        Columns that are always there; a table keeps further columns of its source after them.
    key : tuple of str
        Columns that tell rows apart.
    references : mapping of str to str
        Column to the table whose key it is.
    """

    name: str
    row: str
    columns: tuple[Field, ...]
    key: tuple[str, ...]
    references: Mapping[str, str] = field(default_factory=dict)


def _contract(kind: Kind, *names: str) -> tuple[Field, ...]:
    """Columns as the contract describes them: all, or those named."""
    described = {field.name: field for field in FIELDS[kind]}
    return tuple(described[name] for name in names or described)


_OCCURRENCE = Field("occurrence", "count", "1, 2, ... among rows that agree in the rest of the key")
_EVENT_KEY = ("campaign_id", "customer_id", "date", "occurrence")
_EVENT_LINKS = {"campaign_id": "campaigns", "customer_id": "customers"}
_ORDER = Field("order_id", "id", "the order; customer@date where the log names none")
_LOADS = (
    Field("load_id", "count", "1, 2, ... in the order of loading; a load starts again at 1"),
    Field("kind", "text", "load or refresh"),
    Field("table_name", "text", "the table"),
    Field("new", "count", "rows added"),
    Field("changed", "count", "rows of known key in which another column changed"),
    Field("unchanged", "count", "rows that were there already"),
    Field("referenced", "count", "rows added with the key alone, because another table names it"),
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
