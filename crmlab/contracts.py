"""What a table of customers, products, orders or contacts must look like.

One description of every contract (`FIELDS`) serves twice: as a pandera schema that checks a whole table
(`check_table`), and as the row rules by which `crmlab.datasets.read_transactions` accepts or rejects a row.
pandera itself is loaded only when a schema is asked for.
"""

import datetime as dt
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from crmlab.errors import ContractError

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

Kind = Literal["transactions", "customers", "products", "campaigns", "contacts", "responses"]

TimeUnit = Literal["day", "week", "month", "year"]
"""Unit of the durations in a customer summary."""

Acquisition = Literal["observed", "left_censored"]
"""Whether a customer's first row in the log is the first purchase ever, or only the first one seen."""

#: A single amount, price or quantity beyond this is taken for a slip: sums of such values lose their cents.
LARGEST = 1e12
#: No customer record is older; spreadsheets write an empty date as 1899-12-30.
EARLIEST = pd.Timestamp("1900-01-01")


@dataclass(frozen=True)
class Rule:
    """One thing that must hold for every value of a column.

    Parameters
    ----------
    broken : str
        What is said of a value that breaks the rule, after the column's name: ``"is not finite"``.
    holds : callable
        Series to boolean Series of the same length, True where the rule holds.
    """

    broken: str
    holds: Callable[[pd.Series], pd.Series]


@dataclass(frozen=True)
class Field:
    """A column of a contract.

    Parameters
    ----------
    name : str
        Name of the column.
    type : {"id", "date", "number", "text", "count"}
        Identifiers are text or whole numbers; dates have no time zone; numbers are finite; counts are the database's.
    description : str
        Meaning and unit.
    required : bool
        Whether the table must have the column.
    nullable : bool
        Whether single values may be missing.
    unique : bool
        Whether the column is the table's key.
    """

    name: str
    type: Literal["id", "date", "number", "text", "count"]
    description: str
    required: bool = False
    nullable: bool = True
    unique: bool = False

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules for single values, in the order in which they are reported."""
        missing = () if self.nullable else (Rule("is missing", lambda s: s.notna()),)
        return missing + _TYPES[self.type].rules


@dataclass(frozen=True)
class _Type:
    words: str
    fits: Callable[[pd.Series], bool]
    rules: tuple[Rule, ...] = ()


def _is_text(values: pd.Series) -> bool:
    return pd.api.types.is_string_dtype(values.dropna()) and not isinstance(values.dtype, pd.CategoricalDtype)


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


_SINCE_1900 = Rule("is before 1900", lambda s: s.isna() | (s >= EARLIEST))
_FINITE = Rule("is not finite", lambda s: s.isna() | ~np.isinf(s.astype("float64")))
_CREDIBLE = Rule("is beyond ±1e12", lambda s: s.isna() | np.isinf(s.astype("float64")) | (s.abs() <= LARGEST))
_TYPES = {
    "id": _Type("text or whole numbers", lambda s: pd.api.types.is_integer_dtype(s) or _is_text(s)),
    "date": _Type("dates without a time zone", pd.api.types.is_datetime64_dtype, (_SINCE_1900,)),
    "number": _Type("numbers", _is_number, (_FINITE, _CREDIBLE)),
    "text": _Type("text", _is_text),
}


def _key(name: str, description: str) -> Field:
    return Field(name, "id", description, required=True, nullable=False, unique=True)


def _link(name: str, description: str) -> Field:
    return Field(name, "id", description, required=True, nullable=False)


#: The contracts: table kind to its columns. Columns beyond these are allowed in every table and are kept.
FIELDS: MappingProxyType[Kind, tuple[Field, ...]] = MappingProxyType(
    {
        "transactions": (
            _link("customer_id", "who bought"),
            Field("date", "date", "when, to the day or finer, local time", required=True, nullable=False),
            Field("amount", "number", "money received; negative for a return", required=True, nullable=False),
            Field("order_id", "id", "the order, invoice or basket of this row"),
            Field("product_id", "id", "what was bought, when the row is one line of an order"),
            Field("quantity", "number", "units bought"),
            Field("channel", "text", "where the order was placed"),
        ),
        "customers": (_key("customer_id", "the customer"),),
        "products": (
            _key("product_id", "the product"),
            Field("name", "text", "its name"),
            Field("category", "text", "the group of products it belongs to"),
        ),
        "campaigns": (
            _key("campaign_id", "the campaign"),
            Field("start_date", "date", "first day"),
            Field("end_date", "date", "last day"),
        ),
        "contacts": (
            _link("campaign_id", "the campaign that the contact belongs to"),
            _link("customer_id", "who was contacted"),
            Field("date", "date", "when"),
            Field("channel", "text", "by which way"),
        ),
        "responses": (
            _link("campaign_id", "the campaign responded to"),
            _link("customer_id", "who responded"),
            Field("date", "date", "when"),
        ),
    }
)


def __getattr__(name: str) -> "DataFrameSchema":
    """TRANSACTIONS, CUSTOMERS, ...: the pandera schema of each contract, made when it is asked for."""
    kind = name.lower()
    if name.isupper() and kind in FIELDS:
        return _schema(kind)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _schema(kind: Kind) -> "DataFrameSchema":
    import pandera.pandas as pa

    def value_check(kind: _Type, rule: Rule) -> pa.Check:
        return pa.Check(lambda s: rule.holds(s) if kind.fits(s) else pd.Series(True, index=s.index), error=rule.broken)

    def column(field: Field) -> pa.Column:
        kind = _TYPES[field.type]
        checks = [pa.Check(lambda s: bool(s.isna().all()) or kind.fits(s), error=f"is not {kind.words}")]
        checks += [value_check(kind, rule) for rule in kind.rules]
        return pa.Column(checks=checks, nullable=field.nullable, unique=field.unique, required=field.required)

    return pa.DataFrameSchema({field.name: column(field) for field in FIELDS[kind]}, name=kind)


def check_table(frame: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Check a table against its contract; all problems are collected before stopping once.

    Parameters
    ----------
    frame : pandas.DataFrame
        The table. It is not changed.
    kind : {"transactions", "customers", "products", "campaigns", "contacts", "responses"}
        Which contract.

    Returns
    -------
    pandas.DataFrame
        The same table, when it keeps the contract.

    Raises
    ------
    ContractError
        Naming for each problem the column, how many rows, the first of them (by index label) and their values.

    Examples
    --------
    >>> orders = pd.DataFrame({"customer_id": [1, 2], "date": pd.to_datetime(["2024-01-05", None]), "amount": [9.5, 3]})
    >>> check_table(orders, "transactions")
    Traceback (most recent call last):
    crmlab.errors.ContractError: the transactions table breaks its contract
      - column 'date' is missing in 1 of 2 rows (first: row 1)
    """
    import pandera.errors

    if not isinstance(frame, pd.DataFrame):
        raise ContractError(f"a DataFrame is needed, not {type(frame).__name__}")
    one_of("kind", kind, Kind)
    try:
        _schema(kind).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        problems = _problems(error.failure_cases, frame)
        raise ContractError(f"the {kind} table breaks its contract", problems) from None
    return frame


def _problems(cases: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    problems = []
    for (column, check), group in cases.groupby(["column", "check"], sort=False, dropna=False):
        if check == "column_in_dataframe":
            name = str(group["failure_case"].iloc[0])
            problems.append(f"column {name!r} is missing from the table{suggest(name, frame.columns)}")
        elif group["index"].isna().all():
            problems.append(f"column {column!r} {check}: it is of type {frame[column].dtype}")
        else:
            problems.append(f"column {column!r} {_in_rows(str(check), group, len(frame))}")
    return problems


def _in_rows(check: str, group: pd.DataFrame, rows: int) -> str:
    words = {"not_nullable": "is missing", "field_uniqueness": "has repeated values"}.get(check, check)
    shown = zip(group["index"].head(3), group["failure_case"].head(3), strict=True)
    first = ", ".join(f"row {label}" if check == "not_nullable" else f"row {label}: {value}" for label, value in shown)
    return f"{words} in {len(group):,} of {rows:,} rows (first: {first})"


def check_summary(frame: pd.DataFrame, required: Sequence[str]) -> pd.DataFrame:
    """Check a customer summary, one row per customer or per group of customers with the same history.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``frequency``, ``recency``, ``T`` and whatever else of a summary it has: ``customer_id``, ``monetary_value``,
        the holdout columns, and ``weight``, the customers that a row stands for.
    required : sequence of str
        Columns that it must have.

    Returns
    -------
    pandas.DataFrame
        These columns as numbers; others are left out.

    Raises
    ------
    ContractError
        With all problems at once: each names its column, how many rows, and the first of them, counted from 1.
    """
    require_columns(frame, required, "a customer summary")
    if frame.empty:
        raise ContractError("this frame is no customer summary: it has no rows")
    numbers = [name for name in _SUMMARY_NUMBERS if name in frame.columns]
    values = frame[numbers].apply(pd.to_numeric, errors="coerce")
    rules = {f"{name}: not a finite number": ~np.isfinite(values[name]) for name in numbers}
    rules |= {f"{name}: negative": values[name] < 0 for name in numbers}
    counts = [name for name in ("frequency", "frequency_holdout") if name in numbers]
    rules |= {f"{name}: not a whole number": values[name] % 1 > 0 for name in counts}
    if {"frequency", "recency", "T"} <= set(numbers):
        rules["recency: larger than T"] = values["recency"] > values["T"]
        rules["recency: above 0 without a repeat purchase"] = (values["frequency"] == 0) & (values["recency"] > 0)
        rules["recency: 0 with repeat purchases"] = (values["frequency"] > 0) & (values["recency"] == 0)
    if "weight" in numbers:
        rules["weight: not above 0"] = values["weight"] == 0
    names = [name for name in ("customer_id",) if name in frame.columns]
    rules |= {f"{name}: missing": frame[name].isna() for name in names}
    rules |= {f"{name}: the same customer twice": frame[name].duplicated() for name in names}
    problems = broken_rules(rules)
    if problems:
        raise ContractError("this frame is no customer summary (rows counted from 1)", problems)
    values = values.astype(dict.fromkeys(counts, "int64"))
    return frame[names].assign(**{name: values[name] for name in numbers})  # no join: an index may repeat


def broken_rules(rules: Mapping[str, Any]) -> list[str]:
    """For every rule that is broken, by how many rows, and the first of them, counted from 1.

    Examples
    --------
    >>> broken_rules({"T: negative": pd.Series([False, True, True]), "T: missing": pd.Series([False, False, False])})
    ['T: negative in 2 rows (first: 2, 3)']
    """
    return [
        f"{rule} in {int(broken.sum()):,} rows (first: {', '.join(map(str, np.flatnonzero(broken)[:3] + 1))})"
        for rule, broken in rules.items()
        if broken.any()
    ]


def check_aligned(what: str, *tables: pd.DataFrame, **columns: Any) -> None:
    """Refuse columns, or a table beside them, that are empty or differ in length or index.

    Parameters
    ----------
    what : str
        What they are for, the subject of the message: ``"a gains curve"``.
    *tables : pandas.DataFrame
        Tables about the same customers, in the same order.
    **columns
        By name: one value for each customer.

    Raises
    ------
    ContractError
        Naming the columns, their lengths or shapes.

    Examples
    --------
    >>> check_aligned("a gains curve", score=[0.9, 0.2], response=[1, 0, 1])
    Traceback (most recent call last):
    crmlab.errors.ContractError: a gains curve needs columns of the same length, got score 2, response 3
    """
    shapes = {name: _shape(one) for name, one in columns.items()}
    for name, shape in shapes.items():
        if len(shape) != 1:
            found = f"shape {shape}" if shape else f"one {type(columns[name]).__name__}"
            raise ContractError(f"{what} needs one value per row in {name}, got {found}")
    labelled = {name: one.index for name, one in columns.items() if isinstance(one, pd.Series)}
    for number, table in enumerate(tables, start=1):
        if not isinstance(table, pd.DataFrame):
            raise ContractError(f"{what} needs a DataFrame, not {type(table).__name__}")
        shapes[f"table {number}"], labelled[f"table {number}"] = table.shape, table.index
    lengths = ", ".join(f"{name} {shape[0]:,}" for name, shape in shapes.items())
    if len({shape[0] for shape in shapes.values()}) > 1:
        raise ContractError(f"{what} needs columns of the same length, got {lengths}")
    if not all(shape[0] for shape in shapes.values()):
        raise ContractError(f"{what} cannot be made of no row: {' and '.join(shapes)} are empty")
    if any(not index.equals(next(iter(labelled.values()))) for index in labelled.values()):
        raise ContractError(
            f"{what} needs the same index on {' and '.join(labelled)}: take them from one table, or reindex one like "
            "the other"
        )


def _shape(values: Any) -> tuple[int, ...]:
    try:
        return np.shape(values)
    except ValueError:  # rows of different lengths
        return (len(values), -1)


def aligned(what: str, /, **columns: Any) -> pd.DataFrame:
    """Columns of numbers about the same customers as one table of floats, with the index of those that have one.

    Raises
    ------
    ContractError
        As `check_aligned`, or if a column does not hold numbers (or yes and no), or one of them is missing or infinite.

    Examples
    --------
    >>> aligned("a gains curve", score=[0.9, None], response=[1, 0])
    Traceback (most recent call last):
    crmlab.errors.ContractError: a gains curve cannot be made of these columns (rows counted from 1)
      - score: not a finite number in 1 rows (first: 2)
    """
    check_aligned(what, **columns)
    series = {name: pd.Series(one) for name, one in columns.items()}
    problems = [
        f"{name}: no numbers but {one.dtype} (first: {', '.join(map(repr, one.head(3)))}); convert it first"
        for name, one in series.items()
        if not pd.api.types.is_numeric_dtype(one) or pd.api.types.is_complex_dtype(one)
    ]
    if not problems:
        numbers = {name: one.to_numpy("float64", na_value=np.nan) for name, one in series.items()}
        problems = broken_rules({f"{name}: not a finite number": ~np.isfinite(one) for name, one in numbers.items()})
    if problems:
        raise ContractError(f"{what} cannot be made of these columns (rows counted from 1)", problems)
    labelled = [one.index for name, one in series.items() if isinstance(columns[name], pd.Series)]
    return pd.DataFrame(numbers, index=labelled[0] if labelled else None)


_SUMMARY_NUMBERS = (
    "frequency",
    "recency",
    "T",
    "monetary_value",
    "frequency_holdout",
    "monetary_value_holdout",
    "duration_holdout",
    "weight",
)


def check_acquisition(acquisition: str) -> Acquisition:
    """Return `acquisition` if it is one of the known words, else raise ContractError."""
    one_of("acquisition", acquisition, Acquisition)
    return acquisition  # type: ignore[return-value]


def one_of(name: str, value: object, choices: Any) -> None:
    """Refuse a value that is none of a Literal's."""
    if value not in get_args(choices):
        raise ContractError(f"{name} must be one of {', '.join(get_args(choices))}; got {value!r}")


def as_day(value: Any, name: str) -> dt.date:
    """Read a day from a string, date or timestamp; the time of day is dropped.

    Examples
    --------
    >>> as_day("1997-09-30", "calibration_end")
    datetime.date(1997, 9, 30)
    """
    stamp = pd.to_datetime(value, errors="coerce")
    if not isinstance(stamp, pd.Timestamp):  # NaT is none
        raise ContractError(f"{name} is not a date: {value!r}; write it as 'YYYY-MM-DD'")
    return stamp.date()


def require_columns(frame: Any, names: Sequence[str], what: str) -> None:
    """Stop with one clear error when a table lacks columns that a computation needs.

    Parameters
    ----------
    frame : pandas.DataFrame or ibis.Table
        Anything with ``.columns``.
    names : sequence of str
        The columns needed.
    what : str
        What needs them, the subject of the message: ``"customer_summary"``.

    Raises
    ------
    ContractError
        Naming every missing column, a near name where there is one, and the columns found; or those there twice.

    Examples
    --------
    >>> require_columns(pd.DataFrame({"custmer_id": []}), ["customer_id"], "rfm")
    Traceback (most recent call last):
    crmlab.errors.ContractError: rfm needs columns that the table lacks; it has: 'custmer_id'
      - 'customer_id' (did you mean 'custmer_id'?)
    """
    if not hasattr(frame, "columns"):
        raise ContractError(f"{what} needs a table, not {type(frame).__name__}")
    found = [str(name) for name in frame.columns]
    missing = [name for name in names if name not in found]
    if missing:
        listed = ", ".join(map(repr, found)) or "no columns"
        problems = [f"{name!r}{suggest(name, found)}" for name in missing]
        raise ContractError(f"{what} needs columns that the table lacks; it has: {listed}", problems)
    twice = [f"{name!r} {found.count(name)} times" for name in dict.fromkeys(names) if found.count(name) > 1]
    if twice:
        raise ContractError(f"{what} needs one column of a name; the table has some more than once", twice)


def suggest(name: object, known: Iterable[object]) -> str:
    """The words ``" (did you mean 'x'?)"`` when a known name is near, else an empty string.

    Examples
    --------
    >>> suggest("Segmnts", ["segments", "seed"])
    " (did you mean 'segments'?)"
    """
    by_lower = {str(k).lower(): str(k) for k in known}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""
