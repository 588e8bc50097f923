"""The catalogue of data sets: what there is, what is known about it, and the tables themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from crmlab.contracts import Acquisition, check_acquisition
from crmlab.datasets import download
from crmlab.datasets.cards import (
    Card,
    Column,
    Origin,
    Table,
    card_names,
    locate,
    read_card,
    sha256_of,
)
from crmlab.datasets.lazy import LazyTables
from crmlab.datasets.reading import Reading, read_transactions
from crmlab.datasets.shelf import SHELF
from crmlab.errors import ContractError, DataUnavailableError


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set: its card and its tables, the latter read when first used.

    Parameters
    ----------
    card : Card
        What is known about it.
    tables : mapping of str to pandas.DataFrame
        The tables under contract, by name; ``dataset["customers"]`` is short for ``dataset.tables["customers"]``.
    reading : Reading or None
        What was accepted and rejected, when the rows came through `read_transactions`.
    checksums : mapping of str to str
        File to its sha256; the files were checked against the card when the data set was loaded.

    Examples
    --------
    >>> cdnow = load("cdnow")
    >>> cdnow.origin, len(cdnow.transactions)
    ('real', 69659)
    """

    card: Card
    tables: Mapping[str, pd.DataFrame]
    reading: Reading | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name in the catalogue, or the stem of the user's file."""
        return self.card.name

    @property
    def title(self) -> str:
        """Title for people."""
        return self.card.title

    @property
    def origin(self) -> Origin:
        """``"real"``, ``"contested"``, ``"simulated"`` or ``"yours"``."""
        return self.card.origin

    @property
    def acquisition(self) -> Acquisition:
        """``"observed"`` when first rows are first purchases, else ``"left_censored"``."""
        return self.card.acquisition

    @property
    def transactions(self) -> pd.DataFrame:
        """The transactions table; an error names the tables there are when there is none."""
        return self["transactions"]

    def __getitem__(self, table: str) -> pd.DataFrame:
        if table not in self.tables:
            known = ", ".join(self.tables)
            raise DataUnavailableError(f"data set {self.name!r} has no table {table!r}; it has: {known}")
        return self.tables[table]

    def __repr__(self) -> str:
        counts = {table.name: f"{table.rows:,} rows" for table in self.card.tables if table.rows is not None}
        tables = ", ".join(f"{name} ({counts.get(name, 'rows not counted')})" for name in self.tables)
        line = f"<Dataset {self.name}: {self.title}; {self.origin}, {self.acquisition}; {tables}>"
        return line if self.reading is None else f"{line}\n{self.reading.report}"


def load(name: str, *, seed: int | None = None) -> Dataset:
    """Load a data set of the catalogue.

    Parameters
    ----------
    name : str
        A name from `list`.
    seed : int, optional
        Seed of a simulated data set; real ones do not use it.

    Returns
    -------
    Dataset
        Its files have been found and their checksums verified; a table is read when it is first used.

    Raises
    ------
    DataUnavailableError
        If there is no such data set, its package is not installed, a download failed or a checksum differs.

    Examples
    --------
    >>> load("donations")["counts"]["weight"].sum()
    np.int64(11104)
    """
    return open_card(read_card(name), seed=seed)


def open_card(card: Card, *, seed: int | None = None) -> Dataset:
    """The data set that a card describes, its files located and verified."""
    paths = tuple(download.fetch(file) if file.remote else locate(file, card.needs) for file in card.files)
    tables = LazyTables(SHELF[card.name](paths, seed))
    sums = {file.name: file.sha256 or sha256_of(path) for file, path in zip(card.files, paths, strict=True)}
    card = replace(card, tables=tuple(table for table in card.tables if table.name in tables))
    if card.origin == "simulated" and seed is not None:
        card = replace(card, tables=tuple(replace(table, rows=None) for table in card.tables), facts={})
    return Dataset(card, tables, checksums=MappingProxyType(sums))


def describe(name: str) -> Card:
    """The card of a data set: origin, terms, tables, columns with units, and what would mislead.

    Parameters
    ----------
    name : str
        A name from `list`.

    Returns
    -------
    Card
        Printing it, or showing it in a notebook, gives a readable page.

    Raises
    ------
    DataUnavailableError
        If there is no such data set.

    Examples
    --------
    >>> describe("cdnow").rows
    69659
    """
    return read_card(name)


def source(
    dataset: str,
    *,
    data: str = "",
    columns: Mapping[str, str] | None = None,
    seed: int | None = None,
    acquisition: Acquisition = "left_censored",
) -> Dataset:
    """The data of a chapter: a data set of the catalogue, or the reader's own table in its place.

    Parameters
    ----------
    dataset : str
        A name from `list`, used when `data` is empty.
    data : str
        Path or address of a transactions table, as for `read_transactions`.
    columns : mapping of str to str, optional
        Contract name to the file's name. Beside these it may hold how the file is to be read: ``date_order``,
        ``time_zone`` and ``encoding``, so that one parameter of a chapter says all there is to say about a file.
    seed : int, optional
        Seed of a simulated data set.
    acquisition : {"left_censored", "observed"}
        For your own table: whether the first row of each customer is the first purchase. A log that starts in the
        middle of a firm's life is left-censored; a data set of the catalogue knows for itself.

    Returns
    -------
    Dataset
        Your own is named by the file's stem, has origin ``"yours"`` and carries its `Reading`.

    Raises
    ------
    ContractError
        If the table cannot be read, or not one row is accepted.
    DataUnavailableError
        If there is no such data set or file.

    Examples
    --------
    >>> source("cdnow_sample").name
    'cdnow_sample'
    """
    if not data:
        return load(dataset, seed=seed)
    check_acquisition(acquisition)
    names = dict(columns or {})
    told = names.keys() & {"date_order", "time_zone", "encoding"}
    options: dict[str, Any] = {name: names.pop(name) for name in told}
    reading = read_transactions(data, names, **options)
    if reading.data.empty:
        raise ContractError(f"{reading.report.name}: not one row was accepted", reading.report.rejections())
    return _own(reading, acquisition)


def _own(reading: Reading, acquisition: Acquisition) -> Dataset:
    name, names = reading.report.name, reading.report.columns
    columns = tuple(
        Column(column, _type_word(reading.data[column]), f"column {names.get(column, column)!r} of the file")
        for column in reading.data.columns
    )
    table = Table("transactions", "your transactions", len(reading.data), columns)
    card = Card(name, f"Your table {name}", "yours", acquisition, tables=(table,), quirks=reading.report.notes)
    tables = LazyTables({"transactions": lambda: reading.data})
    return Dataset(card, tables, reading, {name: reading.sha256})


def _type_word(values: pd.Series) -> str:
    return {"i": "int", "f": "float", "b": "bool", "M": "datetime"}.get(values.dtype.kind, "str")


def list() -> pd.DataFrame:
    """The catalogue.

    Returns
    -------
    pandas.DataFrame
        One row a data set: name, title, origin, tables, rows (of its first table), needs (``""``, ``"crmlab[data]"`` or
        ``"download"``) and available (whether `load` works as things are here, without a download).

    Examples
    --------
    >>> list().loc[lambda t: t["name"] == "donations", ["origin", "tables", "rows"]].squeeze().to_dict()
    {'origin': 'real', 'tables': 'counts', 'rows': 22}
    """
    cards = [read_card(name) for name in card_names()]
    return pd.DataFrame(
        {
            "name": [card.name for card in cards],
            "title": [card.title for card in cards],
            "origin": [card.origin for card in cards],
            "tables": [", ".join(table.name for table in card.tables) for card in cards],
            "rows": pd.array([card.rows for card in cards], dtype="Int64"),
            "needs": [card.needs for card in cards],
            "available": [_available(card) for card in cards],
        }
    )


def _available(card: Card) -> bool:
    try:
        return all(download.cached(f).is_file() if f.remote else locate(f, card.needs) for f in card.files)
    except DataUnavailableError:
        return False
