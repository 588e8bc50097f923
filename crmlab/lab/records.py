"""What a chapter hands over: recorded numbers and exported tables.

A number that a chapter claims is recorded as one output of its own type, so that a run is read from what was recorded
and never scraped from prose. A table that an analyst takes home is exported as CSV.
"""

import math
import numbers
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmlab.errors import LabError
from crmlab.lab.files import atomic_path
from crmlab.lab.notebook import current_cell, show

if TYPE_CHECKING:
    import pandas as pd

RECORD_MIME = "application/vnd.crmlab.record+json"

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def record(name: str, value: float | str, *, unit: str = "", published: str | None = None) -> None:
    """Record one finding of a chapter, and show it.

    Parameters
    ----------
    name : str
        Name of the finding in lower-case words joined by underscores, unique in the chapter.
    value : number, str or bool
        The finding. NumPy scalars are taken as what they hold; NaN and infinity are refused.
    unit : str, optional
        Unit of the value, such as ``"weeks"``.
    published : str, optional
        Id of the published number that this one reproduces, such as ``"CDN-107a"``.

    Raises
    ------
    LabError
        If the name is malformed or was recorded in another cell of this chapter, or the value is none of the above.
        Running the same cell again is allowed.

    Examples
    --------
    >>> record("rows", 69_659)
    rows = 69,659
    >>> record("mean_interpurchase_time", 10.25, unit="weeks")
    mean_interpurchase_time = 10.25 weeks
    """
    plain = _plain(name, value)
    _claim("record", name)
    data = {"name": name, "value": plain, "unit": unit, "published": published}
    label = f"{name} = {readable(plain)}{' ' + unit if unit else ''}"
    show({RECORD_MIME: data, "text/plain": f"{label} [{published}]" if published else label})


def export(name: str, table: "pd.DataFrame | pd.Series | Any") -> Path:
    """Write a table to take home as CSV, and show where it is.

    The file goes to the folder of tables of the run; outside a run, to ``tables`` in the working directory. The index
    is written only if it means something (if it is not just row numbers).

    Parameters
    ----------
    name : str
        Name of the table in lower-case words joined by underscores, unique in the chapter.
    table : DataFrame, Series or ibis table
        What to write, with anything that has ``to_pandas()`` converted first.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    LabError
        If the name is malformed or was exported in another cell of this chapter, or `table` is no table.
    """
    if not _NAME.fullmatch(name):
        raise LabError(f"export name {name!r}: use lower-case letters, digits and underscores, such as 'mailing_list'")
    frame = _frame(name, table)
    _claim("export", name)
    chapter = os.environ.get("CRMLAB_CHAPTER", "")
    folder = Path(os.environ.get("CRMLAB_TABLES", "tables"))
    path = folder / f"{chapter + '_' if chapter else ''}{name}.csv"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as unfinished:
        frame.to_csv(unfinished, index=_index_matters(frame), encoding="utf-8")
    show({"text/plain": f"table {name}: {len(frame):,} rows -> {folder.name}/{path.name}"})
    return path


def _plain(name: str, value: object) -> float | int | str | bool:
    """`value` as JSON knows it, or a LabError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise LabError(f"record name {name!r}: use lower-case letters, digits and underscores, such as 'share_of_top'")
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a NumPy scalar
    if isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    raise LabError(
        f"record {name!r}: {value!r} ({type(value).__name__}) cannot be recorded; give one finite number, "
        "a text or a bool"
    )


def readable(value: float | int | str | bool) -> str:
    """A recorded value for people: thousands separated, six significant digits."""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 1000 else f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _frame(name: str, table: Any) -> "pd.DataFrame":
    import pandas as pd

    if isinstance(table, pd.Series):
        return table.to_frame()
    if not isinstance(table, pd.DataFrame) and hasattr(table, "to_pandas"):
        with warnings.catch_warnings():  # ibis asks pandas for an option that pandas will drop
            warnings.filterwarnings("ignore", message=".*future.infer_string")
            table = table.to_pandas()
    if not isinstance(table, pd.DataFrame):
        raise LabError(f"export {name!r}: a DataFrame, Series or ibis table is needed, not a {type(table).__name__}")
    return table


def _index_matters(frame: "pd.DataFrame") -> bool:
    import pandas as pd

    return not isinstance(frame.index, pd.RangeIndex) or frame.index.name is not None


def _claim(kind: str, name: str) -> None:
    """Hold `name` for the cell that now runs; a second cell, or a second time in one run of a cell, is refused."""
    here = current_cell()
    if here is None:
        return
    held = here.ledger.setdefault(kind, {})
    cell, run = held.get(name, (here.cell, None))
    if cell != here.cell or run == here.run:
        raise LabError(
            f"{kind} {name!r} is already taken in this chapter; every {kind} needs a name of its own "
            "(if you moved its cell, restart the kernel)"
        )
    held[name] = (here.cell, here.run)
