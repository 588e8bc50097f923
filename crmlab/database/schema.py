"""The schema of the customer database: which tables there are, what a row is, and how rows are told apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["TABLES", "Column", "Table"]

ColumnType = Literal["id", "date", "number", "text", "count"]


@dataclass(frozen=True)
class Column:
    """A column that the table always has; ids keep the type they came with.

    Attributes
    ----------
    name : str
        Name of the column.
    type : {"id", "date", "number", "text", "count"}
        Ids are text or whole numbers; counts are whole numbers.
    description : str
        Meaning and unit.
    """

    name: str
    type: ColumnType
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


_OCCURRENCE = Column("occurrence", "count", "1, 2, ... among rows that agree in the rest of the key")
_EVENT_KEY = ("campaign_id", "customer_id", "date", "occurrence")
_EVENT_LINKS = {"campaign_id": "campaigns", "customer_id": "customers"}

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table("customers", "a customer", (Column("customer_id", "id", "the customer"),), ("customer_id",)),
        Table(
            "products",
            "a product",
            (
                Column("product_id", "id", "the product"),
                Column("name", "text", "its name"),
                Column("category", "text", "the group of products it belongs to"),
            ),
            ("product_id",),
        ),
        Table(
            "campaigns",
            "a campaign",
            (
                Column("campaign_id", "id", "the campaign"),
                Column("start_date", "date", "first day"),
                Column("end_date", "date", "last day"),
            ),
            ("campaign_id",),
        ),
        Table(
            "orders",
            "an order (invoice, basket); where the log names none, a customer's rows of one date",
            (
                Column("order_id", "id", "the order; derived as customer@date where the log names none"),
                Column("customer_id", "id", "who bought"),
                Column("date", "date", "when: the first date among its lines"),
                Column("channel", "text", "where the order was placed"),
            ),
            ("order_id",),
            {"customer_id": "customers"},
        ),
        Table(
            "lines",
            "a line of an order",
            (
                Column("order_id", "id", "the order"),
                Column("product_id", "id", "what was bought"),
                _OCCURRENCE,
                Column("quantity", "number", "units bought"),
                Column("amount", "number", "money received; negative for a return"),
            ),
            ("order_id", "product_id", "occurrence"),
            {"order_id": "orders", "product_id": "products"},
        ),
        Table(
            "contacts",
            "a customer contacted by a campaign",
            (
                Column("campaign_id", "id", "the campaign"),
                Column("customer_id", "id", "who was contacted"),
                Column("date", "date", "when"),
                _OCCURRENCE,
                Column("channel", "text", "by which way"),
            ),
            _EVENT_KEY,
            _EVENT_LINKS,
        ),
        Table(
            "responses",
            "a response of a customer to a campaign",
            (
                Column("campaign_id", "id", "the campaign"),
                Column("customer_id", "id", "who responded"),
                Column("date", "date", "when"),
                _OCCURRENCE,
            ),
            _EVENT_KEY,
            _EVENT_LINKS,
        ),
        Table(
            "loads",
            "what one load or refresh did to one table",
            (
                Column("load_id", "count", "1, 2, ... in the order of loading; a load starts again at 1"),
                Column("kind", "text", "load or refresh"),
                Column("table_name", "text", "the table"),
                Column("new", "count", "rows added"),
                Column("changed", "count", "rows of known key whose other columns changed"),
                Column("unchanged", "count", "rows that were there already"),
                Column("referenced", "count", "rows added with the key alone, because another table names it"),
            ),
            ("load_id", "table_name"),
        ),
    )
}
"""All tables by name, parents before children."""
