"""The customer database itself: the only module that knows which engine holds it (DuckDB)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import duckdb
import ibis
import ibis.expr.types as ir
import pandas as pd

from crmlab.contracts import suggest
from crmlab.database import views
from crmlab.database.loading import LoadReport, TableSource, prepare, write
from crmlab.database.schema import TABLES
from crmlab.errors import StoreError

_DATA = [name for name in TABLES if name != "loads"]
_VIEW = "customers_360"


class CustomerDB:
    """A customer database: customers, products, campaigns, orders, lines, contacts, responses.

    Open one with `CustomerDB.open`; it is a context manager. ``docs/schema.md`` draws the schema.

    Examples
    --------
    >>> dates = pd.to_datetime(["2024-01-05", "2024-02-01"])
    >>> log = pd.DataFrame({"customer_id": ["ann", "bob"], "date": dates, "amount": [20.0, 30.0]})
    >>> with CustomerDB.open() as db:
    ...     _ = db.load({"transactions": log})
    ...     again = db.refresh({"transactions": log})
    ...     db.query("SELECT customer_id, amount FROM customers_360 WHERE amount > $least", least=25)
      customer_id  amount
    0         bob    30.0
    >>> again.counts.set_index("table_name").loc["lines", ["new", "changed", "unchanged"]].tolist()
    [0, 0, 2]
    """

    def __init__(self, connection: Any, target: str, read_only: bool) -> None:
        self._con = connection
        self.target = target
        self.read_only = read_only

    @classmethod
    def open(cls, target: str | Path = ":memory:", *, read_only: bool = False) -> "CustomerDB":
        """Open a database, or make a new one.

        Parameters
        ----------
        target : str or Path, default ":memory:"
            A file, ``duckdb:///path`` for the same, or ``:memory:`` for one that lives as long as it is open.
        read_only : bool, default False
            Open for reading; several programs may read at once, but nobody may write meanwhile.

        Raises
        ------
        StoreError
            If the file cannot be opened: it is missing, in use by a writer, or no database.
        """
        place = str(target).removeprefix("duckdb:///")
        if "://" in place:
            raise StoreError(f"no engine for {target!r}; give a file, 'duckdb:///path' or ':memory:'")
        if read_only and (place == ":memory:" or not Path(place).is_file()):
            raise StoreError(f"there is no database {place!r} to read; load one first, without read_only")
        try:
            connection = ibis.duckdb.connect(place, read_only=read_only)
        except duckdb.Error as error:
            raise StoreError(_why_not_open(place, error)) from error
        return cls(connection, place, read_only)

    def close(self) -> None:
        """Close the database; a file keeps what was loaded."""
        self._con.disconnect()

    def __enter__(self) -> "CustomerDB":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, tables: Mapping[str, pd.DataFrame] | TableSource) -> LoadReport:
        """Replace everything in the database, or, if anything is wrong, nothing.

        Parameters
        ----------
        tables : mapping of str to pandas.DataFrame, or a Dataset
            ``transactions``, and where there are any ``customers``, ``products``, ``campaigns``, ``contacts``,
            ``responses``, each under its contract (`crmlab.contracts`); further columns are kept. Other tables of a
            data set have no place here, and the report says so.

        Raises
        ------
        ContractError
            If a table breaks its contract; all problems of all tables at once, and the database is as it was.

        Notes
        -----
        Rows of the log become orders and lines. An order is what the log calls one (``order_id``), else a customer's
        rows of the same ``date``. A line is known by its order, its product and its number among equal ones. Customers,
        products and campaigns that are only mentioned get a row with nothing but their key.
        """
        return self._write("load", tables)

    def refresh(self, tables: Mapping[str, pd.DataFrame] | TableSource) -> LoadReport:
        """Bring the database up to date with a batch: all of it or, if anything is wrong or breaks off, nothing.

        Rows of unknown key are added, rows of known key take over the other columns that the batch has, and nothing is
        removed: the same batch again changes nothing, and batches may overlap. A batch must hold *whole* orders,
        because equal products of one order are told apart by their number only.

        Parameters
        ----------
        tables : mapping of str to pandas.DataFrame, or a Dataset
            As for `load`, any of the tables.

        Raises
        ------
        ContractError
            If a table breaks its contract, or an id is text here and a number there.
        """
        self._require_loaded()
        return self._write("refresh", tables)

    def query(self, sql: str, /, **params: Any) -> pd.DataFrame:
        """Answer a question put in SQL.

        Parameters
        ----------
        sql : str
            One SELECT over the tables of `schema` or the view ``customers_360``.
        **params
            Values for ``$name`` in `sql`; they are bound, never pasted.

        Raises
        ------
        StoreError
            If the statement is wrong, or would change the database (`load` and `refresh` do that).
        """
        try:
            kinds = [statement.type for statement in duckdb.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                raise StoreError("query answers one SELECT; to change the database use load or refresh")
            answer = self._con.con.execute(sql, params).to_arrow_table()
        except duckdb.Error as error:
            raise StoreError(f"this query cannot be answered: {error}") from error
        return answer.to_pandas(date_as_object=False)

    def table(self, name: str) -> ir.Table:
        """A table, or the view ``customers_360``, as an ibis expression."""
        if name not in (*TABLES, _VIEW):
            known = [*TABLES, _VIEW]
            raise StoreError(f"there is no table {name!r}{suggest(name, known)}; there are: {', '.join(known)}")
        self._require_loaded()
        return self._con.table(name)

    def transactions(self) -> ir.Table:
        """The log under the transactions contract, one row per line, as an ibis expression.

        `customer_summary`, `rfm` and `cohort_table` take it as it is and are then computed by the engine.
        """
        return views.transactions(self.table("orders"), self.table("lines"))

    def customers_360(self) -> ir.Table:
        """One row per customer, as an ibis expression; in SQL the view ``customers_360``.

        After the customer's attributes: ``first_date``, ``last_date`` (purchases), ``n_orders`` (days with a purchase),
        ``amount`` (money of purchases), ``returned`` (money given back), ``contacts`` and ``responses`` (counts).
        """
        return self.table(_VIEW)

    def customer_360(self, customer_id: str | int) -> views.Customer360:
        """Everything known of one customer: profile, orders, top products, contacts, responses.

        Raises
        ------
        StoreError
            If there is no such customer.
        """
        return views.profile({name: self.table(name) for name in _DATA}, self.customers_360(), customer_id)

    def schema(self) -> pd.DataFrame:
        """All tables and columns as they are in this database.

        Returns
        -------
        pandas.DataFrame
            ``table``, ``column``, ``type``, ``key`` (part of the key), ``references`` (table), ``description``.
        """
        rows = []
        for name, spec in TABLES.items():
            described = {column.name: column.description for column in spec.columns}
            for column, kind in self.table(name).schema().items():
                link = spec.references.get(column, "")
                about = described.get(column, "as in the source")
                rows.append((name, column, str(kind).lstrip("!"), column in spec.key, link, about))
        return pd.DataFrame(rows, columns=["table", "column", "type", "key", "references", "description"])

    def __repr__(self) -> str:
        if not self._loaded():
            return f"CustomerDB {self.target} (empty: load tables first)"
        counts = ", ".join(f"{self._count(name):,} {name}" for name in _DATA)
        return f"CustomerDB {self.target}{' (read only)' if self.read_only else ''}: {counts}"

    def _loaded(self) -> bool:
        return "loads" in self._con.list_tables()

    def _require_loaded(self) -> None:
        if not self._loaded():
            raise StoreError(f"the database {self.target} is empty: load tables first, db.load(dataset)")

    def _count(self, name: str) -> int:
        return self._con.table(name).count().to_pyarrow().as_py()

    def _write(self, kind: Literal["load", "refresh"], tables: Mapping[str, pd.DataFrame] | TableSource) -> LoadReport:
        if self.read_only:
            raise StoreError(f"{self.target} is open for reading only; open it without read_only to {kind}")
        frames, notes = prepare(tables, kind)
        with self._transaction():
            report = write(self._con, kind, frames)
            overview = views.customers_360({name: self._con.table(name) for name in _DATA})
            self._con.create_view(_VIEW, overview, overwrite=True)
        return replace(report, notes=(*notes, *report.notes))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing of it."""
        self._con.raw_sql("BEGIN TRANSACTION")
        try:
            yield
            self._con.raw_sql("COMMIT")
        except BaseException as error:
            with suppress(duckdb.Error):  # a COMMIT that failed has rolled back already
                self._con.raw_sql("ROLLBACK")
            if isinstance(error, duckdb.Error):
                raise StoreError(f"nothing was written: {error}") from error
            raise


def _why_not_open(place: str, error: Exception) -> str:
    text = str(error)
    if "set lock" in text or "used by another process" in text:  # as POSIX and Windows say it
        return f"the database {place!r} is open elsewhere for writing; close it there, or open it read_only everywhere"
    if not Path(place).exists():
        return f"cannot make a database at {place!r}: does the folder exist? ({text})"
    return f"{place!r} cannot be opened as a database: {text}"
