"""A user's own table into a transactions table under contract, every row accounted for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from crmlab.contracts import FIELDS, as_day
from crmlab.datasets.files import RawTable, read_raw
from crmlab.datasets.mapping import UNIT_PRICE, map_columns
from crmlab.datasets.parse import DateOrder, Parsed, parse_dates, parse_ids, parse_numbers
from crmlab.errors import ContractError

Treatment = Literal["keep", "reject"]

_FIELDS = {field.name: field for field in FIELDS["transactions"]}
_BY_TYPE = {"id": parse_ids, "number": parse_numbers, "text": lambda raw: parse_ids(raw.astype("str"))}
_PARSERS: dict[str, Callable[[pd.Series], Parsed]] = {
    UNIT_PRICE: parse_numbers,
    **{field.name: _BY_TYPE[field.type] for field in _FIELDS.values() if field.type != "date"},
}


@dataclass(frozen=True, repr=False)
class Report:
    """What happened to the rows of a file; printing it tells the story.

    Parameters
    ----------
    name : str
        The file's stem.
    rows_read, accepted, rejected : int
        Counts of rows; `accepted` + `rejected` = `rows_read`.
    reasons : mapping of str to int
        Rows rejected for each reason; a row can have several.
    examples : mapping of str to str
        For each reason the first rows and their values.
    columns : mapping of str to str
        Contract name to the file's own name.
    notes : tuple of str
        Decisions taken and things found.
    encoding, delimiter, date_order : str
        How the file was read; empty where it plays no part.
    """

    name: str
    rows_read: int
    accepted: int
    rejected: int
    reasons: Mapping[str, int]
    examples: Mapping[str, str]
    columns: Mapping[str, str]
    notes: tuple[str, ...] = ()
    encoding: str = ""
    delimiter: str = ""
    date_order: str = ""

    def __repr__(self) -> str:
        counts = f"{_counted(self.rows_read)} read, {self.accepted:,} accepted, {self.rejected:,} rejected"
        lines = [f"{self.name}: {counts}"]
        lines += [f"  rejected: {line}" for line in self.rejections()]
        read_as = {"encoding": self.encoding, "columns separated by": self.delimiter, "dates as": self.date_order}
        how = ", ".join(f"{key} {value}" for key, value in read_as.items() if value)
        lines += [f"  read with {how}"] if how else []
        return "\n".join(lines + [f"  note: {note}" for note in self.notes])

    def rejections(self) -> list[str]:
        """One line for each reason: how many rows, and the first of them."""
        return [f"{reason} in {_counted(count)} ({self.examples[reason]})" for reason, count in self.reasons.items()]


@dataclass(frozen=True, repr=False)
class Reading:
    """The outcome of `read_transactions`; printing it shows the report.

    Parameters
    ----------
    data : pandas.DataFrame
        Accepted rows under the transactions contract, in the order of the file, further columns behind.
    rejects : pandas.DataFrame
        Rejected rows: ``row`` (number in the file, 1 = first row of data), ``reason`` and the original values.
    report : Report
        Counts, reasons and notes.
    sha256 : str
        Checksum of the file, empty for a table in memory.
    """

    data: pd.DataFrame
    rejects: pd.DataFrame
    report: Report
    sha256: str = ""

    def __repr__(self) -> str:
        return repr(self.report)


def read_transactions(
    path_or_frame: Any,
    columns: Mapping[str, str] | None = None,
    *,
    date_order: DateOrder | None = None,
    time_zone: str | None = None,
    encoding: str | None = None,
    duplicates: Treatment = "keep",
    returns: Treatment = "keep",
    latest: str | pd.Timestamp | None = None,
    strict: bool = False,
) -> Reading:
    """Read a transactions table of your own; each row is accepted, or rejected with its reason.

    Parameters
    ----------
    path_or_frame : str, pathlib.Path, pandas.DataFrame or table with ``to_pandas``
        CSV (also gzipped; comma, semicolon, tab or bar), Excel or Parquet file, its address, or a table in memory.
    columns : mapping of str to str, optional
        Contract name to the file's name: ``{"customer_id": "Client", "date": "Day", "amount": "Total"}``. A contract
        name that is not mapped is looked up under its own name, without regard to case, spaces and underscores.
        Without an amount, ``unit_price`` and ``quantity`` give it as their product.
    date_order : {"DMY", "MDY", "YMD"}, optional
        Order in dates like 03/04/2024. It is never guessed: needed when the column itself does not settle it.
    time_zone : str, optional
        Zone that stamps with an offset are converted to; without it they keep the local time they were written in.
    encoding : str, optional
        Encoding of a text file; without it UTF-8, else GB18030 or Latin-1, whichever fits.
    duplicates : {"keep", "reject"}
        What to do with exact copies of an earlier row. They are counted either way.
    returns : {"keep", "reject"}
        What to do with negative amounts. They are counted either way.
    latest : str or pandas.Timestamp, optional
        Last date that can be true; later ones are rejected. By default tomorrow, by this computer's clock.
    strict : bool
        Stop with an error if any row is rejected.

    Returns
    -------
    Reading
        ``.data``, ``.rejects`` and ``.report``; accepted + rejected = rows read.

    Raises
    ------
    ContractError
        If the file is no table, columns are missing, the order of dates is open, or `strict` and a row is rejected.
    DataUnavailableError
        If there is no such file.

    Examples
    --------
    >>> orders = pd.DataFrame({"Client": ["A1", "A1", None], "Day": ["2024-01-31", "2024-02-30", "2024-03-01"],
    ...                        "Total": ["$1,250.00", "$20.00", "$5.00"]})
    >>> reading = read_transactions(orders, {"customer_id": "Client", "date": "Day", "amount": "Total"})
    >>> reading
    table: 3 rows read, 1 accepted, 2 rejected
      rejected: date is not a date in 1 row (row 2: '2024-02-30')
      rejected: customer_id is missing in 1 row (row 3)
    >>> reading.rejects[["row", "reason"]]
       row                  reason
    0    2      date is not a date
    1    3  customer_id is missing
    """
    _check_options(
        date_order=(date_order, (None, *get_args(DateOrder))),
        duplicates=(duplicates, get_args(Treatment)),
        returns=(returns, get_args(Treatment)),
    )
    tomorrow = pd.Timestamp.now() + pd.Timedelta(days=1)
    last = pd.Timestamp(as_day(tomorrow if latest is None else latest, "latest"))
    raw = read_raw(path_or_frame, encoding)
    try:
        mapping, notes = map_columns([*raw.frame.columns], columns or {})
        rows = _Rows(raw, notes)
        typed, order = _typed(rows, mapping, date_order, time_zone)
    except ContractError as error:
        raise ContractError(f"{raw.name}: {error}") from None
    rows.apply_contract(typed)
    too_late = "is in the future" if latest is None else f"is after {last:%Y-%m-%d}"
    rows.reject(typed["date"].dt.normalize() > last, f"date {too_late}")
    _treat(rows, _copies(raw.frame), "an exact copy of an earlier row", duplicates)
    _treat(rows, typed["amount"] < 0, "a return (negative amount)", returns)
    reading = _reading(raw, rows, typed, mapping, order)
    if strict and reading.report.rejected:
        counts = f"{reading.report.rejected:,} of {reading.report.rows_read:,} rows"
        raise ContractError(f"{raw.name}: {counts} cannot be accepted", reading.report.rejections())
    return reading


def _check_options(**options: tuple[object, tuple[object, ...]]) -> None:
    problems = [
        f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}"
        for name, (value, allowed) in options.items()
        if value not in allowed
    ]
    if problems:
        raise ContractError("read_transactions was told something it does not know", problems)


class _Rows:
    """Which rows are rejected, and why; a row that is damaged as a whole has no further reasons."""

    def __init__(self, raw: RawTable, notes: Sequence[str]) -> None:
        self._frame = raw.frame
        self._whole = raw.damaged == ""
        self.failed: dict[str, pd.Series] = {}
        self.notes = [*raw.notes, *notes]
        self.reasons = {reason: raw.damaged == reason for reason in raw.damaged[~self._whole].unique()}

    @property
    def rejected(self) -> pd.Series:
        """True for each row with a reason against it."""
        nothing = pd.Series(False, index=self._frame.index)
        return pd.concat([nothing, *self.reasons.values()], axis=1).any(axis=1)

    def reject(self, mask: pd.Series, reason: str) -> None:
        """Note a reason against rows."""
        hit = mask & self._whole
        if hit.any():
            self.reasons[reason] = hit

    def column(self, name: str) -> pd.Series:
        """A raw column; a damaged row has no say in how it is read."""
        values = self._frame[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = pd.Series(np.asarray(values), index=values.index, name=name)
        return values if self._whole.all() else values.where(self._whole)

    def take(self, name: str, parsed: Parsed) -> pd.Series:
        """Values of a parsed column, after its failures have been noted."""
        self.notes += parsed.notes
        self.failed[name] = parsed.reasons != ""
        for reason in parsed.reasons[self.failed[name]].unique():
            self.reject(parsed.reasons == reason, f"{name} {reason}")
        return parsed.column

    def apply_contract(self, typed: Mapping[str, pd.Series]) -> None:
        """Reject what breaks a rule of the contract, unless the value could not even be read."""
        for name in [name for name in _FIELDS if name in typed]:
            for rule in _FIELDS[name].rules:
                self.reject(~rule.holds(typed[name]).astype(bool) & ~self.failed[name], f"{name} {rule.broken}")


def _typed(
    rows: _Rows, mapping: Mapping[str, str], date_order: DateOrder | None, time_zone: str | None
) -> tuple[dict[str, pd.Series], str]:
    """The contract's columns with their types, in the contract's order; and the order that dates were read in."""
    dates, order = parse_dates(rows.column(mapping["date"]), date_order, time_zone)
    typed = {"date": rows.take("date", dates)}
    typed |= {name: rows.take(name, _PARSERS[name](rows.column(mapping[name]))) for name in mapping if name != "date"}
    if UNIT_PRICE in typed:
        typed["amount"] = typed[UNIT_PRICE] * typed["quantity"]
        rows.failed["amount"] = rows.failed[UNIT_PRICE] | rows.failed["quantity"]
    return {name: typed[name] for name in (*_FIELDS, UNIT_PRICE) if name in typed}, order


def _copies(frame: pd.DataFrame) -> pd.Series:
    """True for each row that is equal to an earlier one in every column."""
    mixed = [column for column in frame if frame[column].dtype.kind == "O"]  # may hold lists, which do not compare
    return frame.astype(dict.fromkeys(mixed, "str")).duplicated()


def _treat(rows: _Rows, mask: pd.Series, what: str, treatment: Treatment) -> None:
    """Keep rows with a note, or reject them."""
    if treatment == "reject":
        rows.reject(mask, f"the row is {what}")
        return
    kept = mask & ~rows.rejected
    if kept.any():
        first = int(kept.to_numpy().argmax()) + 1
        rows.notes.append(f"kept: {int(kept.sum()):,} of {_counted(len(kept))}, each {what} (first: row {first})")


def _reading(
    raw: RawTable, rows: _Rows, typed: Mapping[str, pd.Series], mapping: Mapping[str, str], order: str
) -> Reading:
    rejected = rows.rejected
    others = raw.frame.drop(columns=[column for name, column in mapping.items() if name in typed])
    data = pd.concat([pd.DataFrame(typed), _out_of_the_way(others, set(typed))], axis=1)
    data = data[~rejected].reset_index(drop=True)
    report = Report(
        name=raw.name,
        rows_read=len(raw.frame),
        accepted=len(data),
        rejected=int(rejected.sum()),
        reasons={reason: int(mask.sum()) for reason, mask in rows.reasons.items()},
        examples={reason: _examples(reason, raw.frame[mask], mapping) for reason, mask in rows.reasons.items()},
        columns=mapping,
        notes=tuple(rows.notes),
        encoding=raw.encoding,
        delimiter=raw.delimiter,
        date_order=order,
    )
    full = [c for c in data if c in _FIELDS and data[c].dtype == "Int64" and data[c].notna().all()]
    data = data.astype(dict.fromkeys(full, "int64"))  # identifiers without a missing value
    return Reading(data, _rejects(raw.frame, rows.reasons, rejected), report, raw.sha256)


def _out_of_the_way(frame: pd.DataFrame, taken: set[str]) -> pd.DataFrame:
    """Columns whose names are taken get the prefix ``original_``, twice where that is taken too."""
    names: list[str] = []
    for name in frame.columns:
        while name in taken or name in names:
            name = f"original_{name}"
        names.append(name)
    return frame.set_axis(names, axis=1)


def _rejects(frame: pd.DataFrame, reasons: Mapping[str, pd.Series], rejected: pd.Series) -> pd.DataFrame:
    words = pd.Series("", index=frame.index[rejected], dtype="str")
    for reason, mask in reasons.items():
        hit = mask[rejected]
        words[hit] = words[hit].where(words[hit] == "", words[hit] + "; ") + reason
    originals = _out_of_the_way(frame[rejected], {"row", "reason"})
    ours = pd.DataFrame({"row": words.index + 1, "reason": words}, index=words.index)
    return pd.concat([ours, originals], axis=1).reset_index(drop=True)


def _examples(reason: str, hit: pd.DataFrame, mapping: Mapping[str, str]) -> str:
    """The first rows that a reason holds for, with the value that gave rise to it."""
    column = mapping.get(reason.split()[0])
    shown = hit.head(3)
    if column is None or reason.endswith(" is missing"):
        return ", ".join(f"row {row}" for row in shown.index + 1)
    return ", ".join(f"row {row}: {str(value)!r}" for row, value in zip(shown.index + 1, shown[column], strict=True))


def _counted(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
