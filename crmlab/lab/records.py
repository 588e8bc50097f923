"""What a chapter hands over: recorded numbers and exported tables.

A number that a chapter claims is recorded as one output of its own type, so that a run is read from what was recorded
and never scraped from prose. A table that an analyst takes home is exported as CSV.
"""

import math
import numbers
import os
from pathlib import Path
from typing import Any

import pandas as pd

from crmlab.errors import LabError
from crmlab.lab.checks import as_frame
from crmlab.lab.files import atomic_path
from crmlab.lab.notebook import claim, show

RECORD_MIME = "application/vnd.crmlab.record+json"


def record(name: str, value: float | str, *, unit: str = "", published: str | None = None) -> None:
    """Record one finding of a chapter, and show it.

    Parameters
    ----------
    name : str
        Lower-case words joined by underscores, unique in the chapter.
    value : number, str or bool
        The finding. NumPy scalars are taken as what they hold; NaN and infinity are refused.
    unit : str, optional
        Such as ``"weeks"``.
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
    claim("record", name)
    data = {"name": name, "value": plain, "unit": unit, "published": published}
    label = f"{name} = {readable(plain)}{' ' + unit if unit else ''}"
    show({RECORD_MIME: data, "text/plain": f"{label} [{published}]" if published else label})


def export(name: str, table: Any) -> None:
    """Write a table to take home as CSV, and show where it is.

    The file goes to the folder of tables of the run; outside a run, to ``tables`` in the working directory. The index
    is written only if it is more than row numbers.

    Parameters
    ----------
    name : str
        Lower-case words joined by underscores, unique in the chapter.
    table : DataFrame, Series or ibis table
        What to write; anything that has ``to_pandas()`` is converted.

    Raises
    ------
    LabError
        If the name is malformed or was exported in another cell of this chapter, or `table` is no table.
    """
    frame = as_frame(table)
    if frame is None:
        raise LabError(f"export {name!r}: a DataFrame, Series or ibis table is needed, not a {type(table).__name__}")
    claim("export", name)
    chapter = os.environ.get("CRMLAB_CHAPTER")
    path = Path(os.environ.get("CRMLAB_TABLES", "tables"), f"{chapter}_{name}.csv" if chapter else f"{name}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    row_numbers = isinstance(frame.index, pd.RangeIndex) and frame.index.name is None
    with atomic_path(path) as unfinished:
        frame.to_csv(unfinished, index=not row_numbers, encoding="utf-8")
    show({"text/plain": f"table {name}: {len(frame):,} rows -> {path.parent.name}/{path.name}"})


def readable(value: float | int | str | bool) -> str:
    """A recorded value for people: thousands separated, six significant digits."""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 1000 else f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(name: str, value: object) -> float | int | str | bool:
    """`value` as JSON knows it, or a LabError."""
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
