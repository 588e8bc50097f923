"""How tables come into the customer database: checked, turned into orders and lines, and merged by key.

The SQL is plain and the same for every engine but for the names of types. Keys are not declared to the engine: every
batch proves its own before it is merged, which is cheaper than an index that is asked row by row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import pandas as pd

from crmlab.contracts import Kind, check_table, suggest
from crmlab.database.frames import as_arrow
from crmlab.database.schema import TABLES, Table
from crmlab.errors import ContractError

_SQL_TYPES = {"id": "VARCHAR", "text": "VARCHAR", "date": "TIMESTAMP", "number": "DOUBLE", "count": "BIGINT"}
_DERIVED_ORDER = (
    "CAST(customer_id AS VARCHAR) || '@' || CASE WHEN date = CAST(date AS DATE) "
    "THEN CAST(CAST(date AS DATE) AS VARCHAR) ELSE CAST(date AS VARCHAR) END"
)
_NARROWER = {
    "BIGINT": ("TINYINT", "SMALLINT", "INTEGER"),
    "DOUBLE": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT"),
}
_COUNTS = ["new", "changed", "unchanged", "referenced"]


class TableSource(Protocol):
    """Anything with tables by name, such as a `crmlab.datasets.Dataset`."""

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]: ...


@dataclass(frozen=True, eq=False)
class LoadReport:
    """What a load or refresh did.

    Attributes
    ----------
    counts : pandas.DataFrame
        One row per table: ``table_name``, ``new``, ``changed``, ``unchanged`` and ``referenced`` (rows added with the
        key alone, because another table names it).
    notes : tuple of str
        What was decided on the way, e.g. that orders were derived, or which tables have no place here.
    """

    counts: pd.DataFrame
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join([self.counts.to_string(index=False), *(f"note: {note}" for note in self.notes)])


def prepare(
    tables: Mapping[str, pd.DataFrame] | TableSource, kind: Literal["load", "refresh"]
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Check all tables against their contracts before the database is touched; return them, with notes."""
    source = tables if isinstance(tables, Mapping) else tables.tables
    known = get_args(Kind)
    frames = {name: source[name] for name in source if name in known}
    others = [name for name in source if name not in known]
    notes, problems = [], []
    if isinstance(tables, Mapping):
        problems = [f"{name!r} is no table of the database{suggest(name, known)}" for name in others]
    else:
        notes = [f"{name}: not stored, the database has no such table" for name in others]
    if kind == "load" and "transactions" not in frames:
        problems.append("a load needs the table 'transactions'")
    for name, frame in frames.items():
        problems += _problems_of(name, frame)
    if problems:
        raise ContractError(f"nothing was written: this {kind} has problems", problems)
    return frames, notes


def _problems_of(name: str, frame: pd.DataFrame) -> list[str]:
    if "occurrence" in frame.columns:
        return [f"{name}: the column 'occurrence' is the database's own; rename yours"]
    try:
        check_table(frame, name)  # type: ignore[arg-type]
    except ContractError as error:
        return [f"{name}: {problem}" for problem in error.problems or (str(error),)]
    return []


def write(con: Any, kind: Literal["load", "refresh"], frames: Mapping[str, pd.DataFrame]) -> LoadReport:
    """Write tables that `prepare` has checked; the caller holds the transaction that makes it all or nothing."""
    if kind == "load":
        _create(con)
    _align_ids(con, frames)
    notes: list[str] = []
    staged = [name for name in TABLES if name in frames]
    for name in staged:
        _stage(con, TABLES[name], frames[name])
    if "transactions" in frames:
        notes += _stage_transactions(con, frames["transactions"])
        notes += _partial_orders(con) if kind == "refresh" else []
        staged += ["orders", "lines"]
    counts = {name: _merge(con, TABLES[name]) for name in staged}
    for table in TABLES.values():
        for column, parent in table.references.items():
            added = _add_referenced(con, table.name, column, parent)
            counts.setdefault(parent, dict.fromkeys(_COUNTS, 0))["referenced"] += added
    return LoadReport(_record(con, kind, counts), tuple(notes))


def _create(con: Any) -> None:
    con.raw_sql("DROP VIEW IF EXISTS customers_360")
    for table in TABLES.values():
        columns = ", ".join(f"{_q(column.name)} {_SQL_TYPES[column.type]}" for column in table.columns)
        con.raw_sql(f"DROP TABLE IF EXISTS {table.name}")
        con.raw_sql(f"CREATE TABLE {table.name} ({columns})")


def _align_ids(con: Any, frames: Mapping[str, pd.DataFrame]) -> None:
    """Give every id one type, text or whole numbers, in the whole database; or say where it has two."""
    homes = [(column.name, table.name) for table in TABLES.values() for column in table.columns if column.type == "id"]
    used: dict[str, dict[str, list[str]]] = {}
    for name, table in homes:
        if _scalar(con, f"SELECT count({name}) FROM {table}"):
            used.setdefault(name, {}).setdefault(_types(con, table)[name], []).append(f"{table} (database)")
    for table, frame in frames.items():
        for name in {name for name, _ in homes} & set(frame.columns):
            if frame[name].notna().any():
                kind = "BIGINT" if pd.api.types.is_integer_dtype(frame[name]) else "VARCHAR"
                used.setdefault(name, {}).setdefault(kind, []).append(table)
    if "transactions" in frames and "order_id" not in frames["transactions"]:
        used.setdefault("order_id", {}).setdefault("VARCHAR", []).append("transactions (derived)")
    mixed = {name: kinds for name, kinds in used.items() if len(kinds) > 1}
    words = "{}: whole numbers in {}; text in {}"
    problems = [words.format(n, ", ".join(k["BIGINT"]), ", ".join(k["VARCHAR"])) for n, k in mixed.items()]
    if problems:
        raise ContractError("nothing was written: an id must have one type in all tables", problems)
    for name, table in homes:
        wanted = next(iter(used.get(name, {})), None)
        if wanted and _types(con, table)[name] != wanted:
            con.raw_sql(f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {wanted}")


def _stage(con: Any, table: Table, frame: pd.DataFrame) -> None:
    """Bring rows in as the temporary table ``in_<table>``, with the columns and types of the table they are for."""
    columns = _bring_in(con, (table,), frame)
    key = [name for name in columns if name in table.key]
    number = f", {_numbering(key, columns)}" if "occurrence" in table.key else ""
    con.raw_sql(f"CREATE TEMPORARY TABLE in_{table.name} AS SELECT {_list(columns)}{number} FROM in_rows")
    con.raw_sql("DROP TABLE in_rows")


def _stage_transactions(con: Any, frame: pd.DataFrame) -> list[str]:
    """Split the log into ``in_orders`` and ``in_lines``."""
    orders, lines = TABLES["orders"], TABLES["lines"]
    columns = _bring_in(con, (orders, lines), frame)
    head = [column.name for column in orders.columns if column.name in columns and column.name != "order_id"]
    notes = []
    if "order_id" not in frame.columns:
        con.raw_sql(f"UPDATE in_rows SET order_id = {_DERIVED_ORDER}")
        notes.append("orders: the log names none, so a customer's rows of one date are one order")
    _check_orders(con)
    for name in head[1:]:
        several = f"SELECT 1 FROM in_rows GROUP BY order_id HAVING min({name}) < max({name})"
        if count := _scalar(con, f"SELECT count(*) FROM ({several}) AS mixed"):
            notes.append(f"orders: {count:,} have lines with different values of {name}; the smallest is kept")
    firsts = ", ".join(f"min({name}) AS {name}" for name in head)
    con.raw_sql(f"CREATE TEMPORARY TABLE in_orders AS SELECT order_id, {firsts} FROM in_rows GROUP BY order_id")
    rest = [name for name in columns if name not in head]
    number = _numbering(["order_id", "product_id"], ["amount", *rest])
    con.raw_sql(f"CREATE TEMPORARY TABLE in_lines AS SELECT {_list(rest)}, {number} FROM in_rows")
    con.raw_sql("DROP TABLE in_rows")
    return notes


def _check_orders(con: Any) -> None:
    torn = "FROM in_rows GROUP BY order_id HAVING min(customer_id) < max(customer_id)"
    count = _scalar(con, f"SELECT count(*) FROM (SELECT 1 {torn}) AS torn")
    if count:
        first = con.raw_sql(f"SELECT order_id {torn} ORDER BY order_id LIMIT 3").fetchall()
        listed = ", ".join(str(order) for (order,) in first)
        problem = f"order_id: {count:,} orders belong to several customers (first: {listed})"
        raise ContractError("nothing was written: the log contradicts itself", [problem])


def _partial_orders(con: Any) -> list[str]:
    """Say how many known orders have fewer lines in the batch: it may hold parts of orders, which it must not."""
    sizes = "SELECT order_id, count(*) AS n FROM {} GROUP BY order_id"
    fewer = (
        f"SELECT count(*) FROM ({sizes.format('in_lines')}) AS i JOIN ({sizes.format('lines')}) AS t "
        "ON t.order_id = i.order_id WHERE i.n < t.n"
    )
    count = _scalar(con, fewer)
    said = f"lines: {count:,} orders have fewer lines in this batch than before; the others stay as they are"
    return [said] if count else []


def _bring_in(con: Any, tables: tuple[Table, ...], frame: pd.DataFrame) -> list[str]:
    """Make ``in_rows`` of a frame, typed as in the database, and return its columns.

    These are the keys of `tables` (null where the frame lacks them), their other columns that the frame has, and the
    frame's further columns, which the last table gets too. What the frame lacks is left alone in the database.
    """
    con.create_table("in_raw", obj=as_arrow(frame), temp=True)
    brought, wanted = _types(con, "in_raw"), _types(con, *(table.name for table in tables))
    keys = {name for table in tables for name in table.key}
    own = dict.fromkeys(column.name for table in tables for column in table.columns if column.name != "occurrence")
    problems = []
    for name in (name for name in brought if name not in own):
        if name not in wanted:
            con.raw_sql(f"ALTER TABLE {tables[-1].name} ADD COLUMN {_q(name)} {brought[name]}")
            wanted[name] = brought[name]
        elif brought[name] not in (wanted[name], *_NARROWER.get(wanted[name], ())) and frame[name].notna().any():
            problems.append(f"{name}: {brought[name]} in the batch, {wanted[name]} in table {tables[-1].name}")
    if problems:
        raise ContractError("nothing was written: columns must keep their type; convert them, or load anew", problems)
    columns = [name for name in dict.fromkeys([*own, *brought]) if name in brought or name in keys]
    values = [f"CAST({_q(name) if name in brought else 'NULL'} AS {wanted[name]}) AS {_q(name)}" for name in columns]
    con.raw_sql(f"CREATE TEMPORARY TABLE in_rows AS SELECT {', '.join(values)} FROM in_raw")
    con.raw_sql("DROP TABLE in_raw")
    return columns


def _numbering(key: list[str], columns: list[str]) -> str:
    """Number the rows of one key by their content, so that the order of rows in a batch does not matter."""
    content = [name for name in columns if name not in key] or key
    return f"row_number() OVER (PARTITION BY {_list(key)} ORDER BY {_list(content)}) AS occurrence"


def _merge(con: Any, table: Table) -> dict[str, int]:
    """Merge ``in_<table>`` into the table by its key, count what happened, and drop it."""
    source = f"in_{table.name}"
    columns = list(_types(con, source))
    same = " AND ".join(f"t.{_q(name)} IS NOT DISTINCT FROM i.{_q(name)}" for name in table.key)
    values = [name for name in columns if name not in table.key]
    differs = " OR ".join(f"t.{_q(name)} IS DISTINCT FROM i.{_q(name)}" for name in values) or "FALSE"
    unknown = f"FROM {source} AS i WHERE NOT EXISTS (SELECT 1 FROM {table.name} AS t WHERE {same})"
    rows = _scalar(con, f"SELECT count(*) FROM {source}")
    new = _scalar(con, f"SELECT count(*) {unknown}")
    changed = _scalar(con, f"SELECT count(*) FROM {source} AS i JOIN {table.name} AS t ON {same} WHERE {differs}")
    if changed:
        settings = ", ".join(f"{_q(name)} = i.{_q(name)}" for name in values)
        con.raw_sql(f"UPDATE {table.name} AS t SET {settings} FROM {source} AS i WHERE {same} AND ({differs})")
    if new:
        picked = ", ".join(f"i.{_q(name)}" for name in columns)
        con.raw_sql(f"INSERT INTO {table.name} ({_list(columns)}) SELECT {picked} {unknown}")
    con.raw_sql(f"DROP TABLE {source}")
    return {"new": new, "changed": changed, "unchanged": rows - new - changed, "referenced": 0}


def _add_referenced(con: Any, child: str, column: str, parent: str) -> int:
    """Give every key that `child` names but `parent` lacks a row in `parent`."""
    unknown = (
        f"FROM {child} AS c WHERE {column} IS NOT NULL "
        f"AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE p.{column} = c.{column})"
    )
    count = _scalar(con, f"SELECT count(DISTINCT {column}) {unknown}")
    if count:
        con.raw_sql(f"INSERT INTO {parent} ({column}) SELECT DISTINCT {column} {unknown}")
    return count


def _record(con: Any, kind: str, counts: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """Write the log of loads; return its new rows, tables in the order of the schema."""
    load_id = _scalar(con, "SELECT coalesce(max(load_id), 0) + 1 FROM loads")
    rows = [{"table_name": name, **counts[name]} for name in TABLES if any(counts.get(name, {}).values())]
    for row in rows:
        numbers = ", ".join(str(row[name]) for name in _COUNTS)
        con.raw_sql(f"INSERT INTO loads VALUES ({load_id}, '{kind}', '{row['table_name']}', {numbers})")
    return pd.DataFrame(rows, columns=["table_name", *_COUNTS])


def _types(con: Any, *tables: str) -> dict[str, str]:
    """Column to SQL type, over all of `tables`, in the order of their columns."""
    named = ", ".join(f"'{table}'" for table in tables)
    known = "SELECT column_name, data_type FROM information_schema.columns"
    sql = f"{known} WHERE table_name IN ({named}) ORDER BY table_name, ordinal_position"
    return dict(con.raw_sql(sql).fetchall())


def _scalar(con: Any, sql: str) -> int:
    return int(con.raw_sql(sql).fetchone()[0])


def _list(names: list[str]) -> str:
    return ", ".join(map(_q, names))


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
