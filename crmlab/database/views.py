"""What is read from the customer database: expressions over its tables, the same on every engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import ibis.expr.types as ir
import pandas as pd

from crmlab.database.frames import to_frame
from crmlab.errors import StoreError

_HEAD = ["customer_id", "date", "amount", "order_id", "product_id", "quantity", "channel"]
_SHOWN = 5


def transactions(orders: ir.Table, lines: ir.Table) -> ir.Table:
    """Orders and their lines as one transactions table under contract, one row per line."""
    joined = lines.inner_join(orders, "order_id").drop("occurrence")
    return joined.select(*_HEAD, *[name for name in joined.columns if name not in _HEAD])


def customers_360(tables: Mapping[str, ir.Table]) -> ir.Table:
    """One row per customer: attributes, then what was bought, contacted and answered.

    An attribute that has the name of a computed column goes by ``customer_<name>``.
    """
    log = transactions(tables["orders"], tables["lines"])
    buys = log.amount >= 0
    bought = log.group_by("customer_id").agg(
        first_date=log.date.min(where=buys).date(),
        last_date=log.date.max(where=buys).date(),
        n_orders=log.date.date().nunique(where=buys),
        amount=log.amount.sum(where=buys),
        returned=-log.amount.sum(where=~buys),
    )
    contacts, responses = tables["contacts"], tables["responses"]
    told = contacts.group_by("customer_id").agg(contacts=contacts.count())
    answered = responses.group_by("customer_id").agg(responses=responses.count())
    computed = {*bought.columns, *told.columns, *answered.columns} - {"customer_id"}
    base = tables["customers"].rename(lambda name: f"customer_{name}" if name in computed else name)
    for part in (bought, told, answered):
        base = base.left_join(part, "customer_id").drop("customer_id_right")
    zero = dict.fromkeys(("n_orders", "contacts", "responses"), 0) | {"amount": 0.0, "returned": 0.0}
    return base.fill_null(zero)


@dataclass(frozen=True, eq=False)
class Customer360:
    """Everything the database knows of one customer.

    Attributes
    ----------
    customer_id : str or int
        The customer.
    profile : mapping of str to value
        The customer's row of the ``customers_360`` view.
    orders : pandas.DataFrame
        ``order_id``, ``date``, ``amount`` (money), ``lines``; the newest first.
    products : pandas.DataFrame
        The ten products with the most money: their attributes, ``orders``, ``quantity``, ``amount``.
    contacts, responses : pandas.DataFrame
        Rows of these tables, in order of campaign and date.
    """

    customer_id: str | int
    profile: Mapping[str, Any]
    orders: pd.DataFrame
    products: pd.DataFrame
    contacts: pd.DataFrame
    responses: pd.DataFrame

    def _facts(self) -> list[str]:
        known = {name: value for name, value in self.profile.items() if name != "customer_id" and pd.notna(value)}
        return [f"{name}: {_readable(value)}" for name, value in known.items()]

    def _parts(self) -> dict[str, pd.DataFrame]:
        parts = {
            "orders, the latest first": self.orders,
            "products, the most money first": self.products,
            "contacts": self.contacts,
            "responses": self.responses,
        }
        return {
            f"{len(part):,} {title}{f' (the first {_SHOWN} shown)' if len(part) > _SHOWN else ''}": part.head(_SHOWN)
            for title, part in parts.items()
            if len(part)
        }

    def __repr__(self) -> str:
        text = [f"Customer {self.customer_id}", *(f"  {fact}" for fact in self._facts())]
        for title, part in self._parts().items():
            text += ["", title, part.to_string(index=False, float_format="{:,.2f}".format)]
        return "\n".join(text)

    def _repr_html_(self) -> str:
        facts = "".join(f"<li>{escape(fact)}</li>" for fact in self._facts())
        tables = "".join(
            f"<h4>{title}</h4>{part.to_html(index=False, border=0, float_format='{:,.2f}'.format)}"
            for title, part in self._parts().items()
        )
        return f"<h3>Customer {escape(str(self.customer_id))}</h3><ul>{facts}</ul>{tables}"


def _readable(value: Any) -> str:
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def profile(tables: Mapping[str, ir.Table], overview: ir.Table, customer_id: str | int) -> Customer360:
    """Collect one customer's rows; see `CustomerDB.customer_360`."""
    known = overview.customer_id.type()
    if known.is_integer() and not str(customer_id).lstrip("-").isdigit():
        raise StoreError(f"there is no customer {customer_id!r}: customer_id is a whole number in this database")
    wanted = int(customer_id) if known.is_integer() else str(customer_id)
    found = to_frame(overview.filter(overview.customer_id == wanted))
    if found.empty:
        raise StoreError(f"there is no customer {customer_id!r}; query('SELECT customer_id FROM customers') lists them")
    log = transactions(tables["orders"], tables["lines"])
    log = log.filter(log.customer_id == wanted)
    orders = log.group_by("order_id", "date").agg(amount=log.amount.sum(), lines=log.count())
    sums = {"quantity": log.quantity.sum(), "amount": log.amount.sum()}
    bought = log.group_by("product_id").agg(orders=log.order_id.nunique(), **sums)
    products = bought.inner_join(tables["products"], "product_id", rname="product_{name}")
    events = [tables[name].filter(tables[name].customer_id == wanted) for name in ("contacts", "responses")]
    contacts, responses = (_compact(part.order_by("campaign_id", "date", "occurrence")) for part in events)
    return Customer360(
        customer_id=wanted,
        profile={str(name): value for name, value in found.iloc[0].items()},
        orders=to_frame(orders.order_by(orders.date.desc(), "order_id")),
        products=_compact(products.order_by(products.amount.desc(), "product_id").limit(10)),
        contacts=contacts,
        responses=responses,
    )


def _compact(table: ir.Table) -> pd.DataFrame:
    """The rows without what says nothing about one customer: the customer, the numbering, empty columns."""
    frame = to_frame(table.drop(*{"customer_id", "occurrence"} & set(table.columns)))
    return frame.dropna(axis=1, how="all") if len(frame) else frame
