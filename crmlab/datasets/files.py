"""From a user's file, whatever it is, to a raw table: bytes, encoding, delimiter, rows as they stand."""

import contextlib
import csv
import gzip
import hashlib
import io
import re
import tempfile
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from crmlab.errors import ContractError, DataUnavailableError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_SAMPLE = 200_000  # characters that decide what kind of file this is
_NO_TABLE = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls); save it as .xlsx or CSV",
    b"{": "JSON; write it as CSV or Parquet first",
    b"[{": "JSON; write it as CSV or Parquet first",
    b"<": "a web page or XML; save the table itself as CSV",
}


@dataclass(frozen=True)
class RawTable:
    """A table as it stands in the file, nothing interpreted yet.

    `frame` has every row in its order, as text for a text file; `damaged` says for each row what is wrong with it as a
    whole, empty where nothing is. What plays no part (the checksum of a table in memory) is empty.
    """

    name: str
    frame: pd.DataFrame
    damaged: pd.Series
    encoding: str = ""
    delimiter: str = ""
    notes: tuple[str, ...] = ()
    sha256: str = ""


def read_raw(source: Any, encoding: str | None = None) -> RawTable:
    """Read a path, an address or a table in memory."""
    if isinstance(source, pd.DataFrame) or hasattr(source, "to_pandas"):
        return _in_memory("table", source if isinstance(source, pd.DataFrame) else source.to_pandas())
    if not isinstance(source, str | Path):
        raise ContractError(f"a path, an address or a table is needed, not {type(source).__name__}")
    name, content = _content(str(source))
    try:
        raw = _from_bytes(name, content, encoding)
    except ContractError as error:
        raise ContractError(f"{Path(str(source)).name}: {error}") from None
    return replace(raw, sha256=hashlib.sha256(content).hexdigest())


def _content(source: str) -> tuple[str, bytes]:
    if re.match(r"https?://", source):
        from crmlab.datasets.download import fetch_once

        with tempfile.TemporaryDirectory() as folder:
            path = fetch_once(source, Path(folder))
            return _stem(urlsplit(source).path), path.read_bytes()
    path = Path(source).expanduser()
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise DataUnavailableError(f"{path.absolute()} {kind}; give the path of a CSV, Excel or Parquet file")
    return _stem(path.name), path.read_bytes()


def _stem(path: str) -> str:
    return Path(path.removesuffix(".gz")).stem or "table"


def _in_memory(name: str, table: pd.DataFrame, notes: tuple[str, ...] = ()) -> RawTable:
    named = any(level is not None for level in table.index.names)
    frame = table.reset_index(drop=not named, allow_duplicates=True)
    names, renamed = _column_names([str(column) for column in frame.columns])
    frame.columns = pd.Index(names)
    if frame.empty:
        raise ContractError("the table has no row of data")
    return RawTable(name, frame, pd.Series("", index=frame.index, dtype="str"), notes=(*notes, *renamed))


def _from_bytes(name: str, content: bytes, encoding: str | None) -> RawTable:
    if content.startswith(b"\x1f\x8b"):
        return _from_bytes(name, _trying("a gzip file", lambda: gzip.decompress(content)), encoding)
    if content.startswith(b"PAR1"):
        return _in_memory(name, _trying("Parquet", lambda: pd.read_parquet(io.BytesIO(content))))
    if content.startswith(b"PK\x03\x04"):
        return _from_excel(name, content)
    beginning = content[:64].lstrip()
    for magic, kind in _NO_TABLE.items():
        if beginning.startswith(magic):
            raise ContractError(f"this is no table: it looks like {kind}")
    return _from_text(name, content, encoding)


def _trying(kind: str, read: Any) -> Any:
    try:
        return read()
    except Exception as error:
        raise ContractError(f"this looks like {kind} but cannot be read as such: {error}") from None


def _from_excel(name: str, content: bytes) -> RawTable:
    members = _trying("a zip archive", lambda: zipfile.ZipFile(io.BytesIO(content)).namelist())
    if "xl/workbook.xml" not in members:
        raise ContractError("this is a zip archive; unpack it and give the file inside")
    book = _trying("an Excel workbook", lambda: pd.read_excel(io.BytesIO(content), sheet_name=None, dtype=object))
    sheet, *others = book
    notes = (f"sheet {sheet!r} was read; not read: {', '.join(map(repr, others))}",) if others else ()
    return _in_memory(name, book[sheet], notes)


def _from_text(name: str, content: bytes, encoding: str | None) -> RawTable:
    text, encoding, notes = decode(content, encoding)
    if not text.strip("\0 \t\r\n"):
        raise ContractError("the file is empty")
    sample = text[:_SAMPLE]
    if sum(sample.count(chr(code)) for code in range(1, 9)) > len(sample) / 100:
        raise ContractError("this is no table: it is not text")
    text = re.sub(r"^\s*sep=.\s*\n|^[\r\n]+", "", text, count=1)  # Excel may say the delimiter in a line of its own
    delimiter = _trying("delimited text", lambda: guess_delimiter(text[:_SAMPLE]))
    stream = io.StringIO(text[:_SAMPLE], newline="")
    header = next(csv.reader(stream, delimiter=delimiter))
    if len(header) < 2:
        known = "the columns of a text file are separated by comma, semicolon, tab or |"
        raise ContractError(f"only one column was found, {header[0].strip()[:60]!r}; {known}")
    columns, more = _column_names(header)
    frame, damaged = _parse_rows(text[stream.tell() :], delimiter, columns)
    if frame.empty:
        raise ContractError(f"there is a header but no row of data; columns: {', '.join(map(repr, columns))}")
    return RawTable(name, frame, damaged, encoding, DELIMITERS[delimiter], (*notes, *more))


def _column_names(header: list[str]) -> tuple[list[str], tuple[str, ...]]:
    names: list[str] = []
    renamed = []
    for position, cell in enumerate(header, start=1):
        name = cell.strip() or f"column {position}"
        if name in names:
            name = f"{name} (column {position})"
        if name != cell.strip():
            renamed.append(repr(name))
        names.append(name)
    note = f"columns without a name of their own in the header are called {', '.join(renamed)}"
    return names, (note,) if renamed else ()


def _parse_rows(body: str, delimiter: str, columns: list[str]) -> tuple[pd.DataFrame, pd.Series]:
    """All rows as text, in the order of the file, and what is wrong with each row as a whole."""
    import pyarrow as pa
    import pyarrow.csv as pc

    bad: list[Any] = []

    def keep_aside(row: Any) -> str:
        bad.append(row)
        return "skip"

    options = {
        "read_options": pc.ReadOptions(use_threads=False, column_names=columns, block_size=1 << 26),
        "parse_options": pc.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep_aside),
        "convert_options": pc.ConvertOptions(column_types=dict.fromkeys(columns, pa.string())),
    }
    if not body.strip():
        return pd.DataFrame(columns=columns), pd.Series(dtype="str")
    good = _trying("delimited text", lambda: pc.read_csv(io.BytesIO(body.encode("utf-8")), **options)).to_pandas()
    frame, damaged = _put_back(good, bad, delimiter, columns)
    if "\0" in body:
        nul = np.logical_or.reduce([frame[column].str.contains("\0", regex=False) for column in frame])
        damaged = damaged.mask(nul & (damaged == ""), "the row contains NUL bytes")
    return frame, damaged


def _put_back(good: pd.DataFrame, bad: list[Any], delimiter: str, columns: list[str]) -> tuple[pd.DataFrame, pd.Series]:
    """Set rows with too few or too many fields back in their places; surplus fields stay in the last column."""
    places = np.array([row.number - 1 for row in bad], dtype=int)
    total, width = len(good) + len(bad), len(columns)
    cells = [(row.text.split(delimiter, width - 1) + [""] * width)[:width] for row in bad]
    good.index = pd.Index(np.delete(np.arange(total), places))
    reasons = np.full(total, "", dtype=object)
    if bad:
        good = pd.concat([good, pd.DataFrame(cells, index=places, columns=good.columns, dtype="str")]).sort_index()
        reasons[places] = [_misfit(row) for row in bad]
    return good.reset_index(drop=True), pd.Series(reasons, dtype="str")


def _misfit(row: Any) -> str:
    extent = "few" if row.actual_columns < row.expected_columns else "many"
    quote = ", a quotation mark may not be closed" if "\n" in row.text else ""
    return f"the row has too {extent} fields ({row.actual_columns} for {row.expected_columns} columns{quote})"


def guess_delimiter(text: str) -> str:
    """The delimiter that splits the header into most fields, preferring one that the first rows agree with."""
    lines = text.splitlines()[:50]

    def score(delimiter: str) -> tuple[bool, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        agreeing = Counter(widths)[widths[0]] / len(widths)
        return widths[0] > 1 and agreeing > 0.5, widths[0]

    return max(DELIMITERS, key=score)


def decode(content: bytes, encoding: str | None = None) -> tuple[str, str, tuple[str, ...]]:
    """Text of a file, its encoding, and a note when the encoding was guessed."""
    if encoding is not None:
        return _decode_as_told(content, encoding), encoding, ()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _trying("UTF-16 text", lambda: content.decode("utf-16")), "UTF-16", ()
    with contextlib.suppress(UnicodeDecodeError):
        return content.decode("utf-8-sig"), "UTF-8", ()
    if _is_chinese(content):
        guess, label = "gb18030", "GB18030"
    elif set(content).isdisjoint(b"\x81\x8d\x8f\x90\x9d"):  # these Windows-1252 does not have
        guess, label = "cp1252", "Latin-1 (Windows-1252)"
    else:
        guess, label = "latin-1", "Latin-1"
    note = f"the text is not UTF-8; it was read as {label}: if names look wrong, state encoding="
    return content.decode(guess), label, (note,)


def _decode_as_told(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise ContractError(f"there is no encoding {encoding!r}; try 'utf-8', 'gb18030' or 'latin-1'") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        place = f"line {line} is not {encoding}: {error.reason}"
        raise ContractError(f"{place}; leave encoding out to have it found") from None


def _is_chinese(content: bytes) -> bool:
    """Whether the bytes beyond ASCII are GB18030 and nine tenths of their characters everyday Chinese.

    Latin-1 text can be valid GB18030 too, but then gives rare characters, since its accented letters stand alone.
    """
    try:
        wide = [character for character in content.decode("gb18030") if character > "\x7f"]
    except UnicodeDecodeError:
        return False
    everyday = sum(len(character.encode("gb2312", errors="ignore")) == 2 for character in wide)
    return everyday >= 0.9 * len(wide)
