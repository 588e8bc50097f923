"""Between pandas and ibis, by way of Arrow: the same types in and out, and no copy of strings."""

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from crmlab.errors import ContractError


def as_table(table: pd.DataFrame | ir.Table) -> ir.Table:
    """Make an ibis table of a frame; an ibis table passes through."""
    return ibis.memtable(as_arrow(table)) if isinstance(table, pd.DataFrame) else table


def as_arrow(frame: pd.DataFrame) -> pa.Table:
    """Make an Arrow table of a frame, without its index; refuse columns of mixed types, e.g. ids partly text."""
    columns, problems = {}, []
    for name in frame.columns:
        try:
            columns[str(name)] = _plain(pa.Array.from_pandas(frame[name]))
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
            problems.append(f"{name}: {str(error).splitlines()[0]}")
    if problems:
        raise ContractError("these columns mix types; make each of them one type, e.g. with astype(str)", problems)
    return pa.table(columns)


def _plain(values: pa.Array) -> pa.Array:
    """Categories as their values, times to the microsecond, a column of nothing as empty text."""
    if pa.types.is_dictionary(values.type):
        return values.dictionary_decode()
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp("us", values.type.tz), safe=False)
    if pa.types.is_null(values.type):
        return values.cast(pa.string())
    return values


def to_frame(expression: ir.Table) -> pd.DataFrame:
    """Evaluate an ibis table in its engine and bring the result home; dates come as datetime64."""
    return expression.to_pyarrow().to_pandas(date_as_object=False)
