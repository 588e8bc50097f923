"""Answers and habits as numbers for a latent class model: yes or no, categories, numbers, and gaps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from crmlab.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Kind = Literal["yes or no", "category", "number"]
KINDS: tuple[Kind, ...] = ("yes or no", "category", "number")


@dataclass(frozen=True)
class Coding:
    """How indicators become numbers for the model."""

    kinds: Mapping[str, Kind]
    levels: Mapping[str, tuple[Any, ...]]
    mean: Mapping[str, float]
    scale: Mapping[str, float]
    gaps: frozenset[Kind]


def read_coding(indicators: pd.DataFrame) -> Coding:
    if not isinstance(indicators, pd.DataFrame) or indicators.empty:
        raise ContractError("latent classes need a table of indicators with at least one row and one column")
    kinds: dict[str, Kind] = {}
    levels, problems = {}, []
    for name in indicators.columns:
        column = indicators[name]
        if not isinstance(name, str) or not isinstance(column, pd.Series):
            problems.append(f"{name!r}: indicators need names that are text, each once")
            continue
        known = column.dropna()
        if known.nunique() < 2:
            problems.append(f"{name}: the same for all customers; leave it out")
        elif _is_yes_or_no(known):
            kinds[name] = "yes or no"
        elif pd.api.types.is_complex_dtype(known) or pd.api.types.is_datetime64_any_dtype(known):
            problems.append(f"{name}: {column.dtype} is neither yes or no, a category nor a number")
        elif pd.api.types.is_numeric_dtype(known):
            kinds[name] = "number"
            if infinite := int(np.isinf(known.to_numpy(float)).sum()):
                problems.append(f"{name}: {infinite:,} values are infinite")
            if gaps := int(column.isna().sum()):
                problems.append(f"{name}: {gaps:,} numbers are missing; cut it into categories, which may have gaps")
        else:
            kinds[name] = "category"
            levels[name] = tuple(known.astype("category").cat.remove_unused_categories().cat.categories)
    if problems:
        raise ContractError("these indicators cannot carry latent classes", problems)
    ordered = {name: kind for want in KINDS for name, kind in kinds.items() if kind == want}
    numbers = [name for name, kind in ordered.items() if kind == "number"]
    holes = frozenset(kind for name, kind in ordered.items() if indicators[name].isna().any())
    mean = {name: float(indicators[name].mean()) for name in numbers}
    scale = {name: float(indicators[name].std(ddof=0)) for name in numbers}
    return Coding(ordered, levels, mean, scale, holes)


def _is_yes_or_no(known: pd.Series) -> bool:
    if pd.api.types.is_object_dtype(known):  # booleans beside gaps
        return bool(known.map(lambda one: isinstance(one, bool | np.bool_)).all())
    return bool(
        (pd.api.types.is_bool_dtype(known) or pd.api.types.is_numeric_dtype(known)) and known.isin([0, 1]).all()
    )


def encode(indicators: pd.DataFrame, coding: Coding) -> "Floats":
    """Columns in the order of the kinds; categories as codes, numbers standardised, gaps as NaN."""
    columns, problems = [], []
    for name, kind in coding.kinds.items():
        column = indicators[name]
        if kind == "category":
            code_of = {level: code for code, level in enumerate(coding.levels[name])}
            values = column.astype(object).map(code_of).to_numpy(float, na_value=np.nan)
            strange = column[np.isnan(values) & column.notna().to_numpy()]
            if len(strange):
                first = f"first: {strange.iloc[0]}"
                problems.append(f"{name}: {len(strange):,} values that the fit has not seen ({first})")
                continue
        else:
            values = pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
            lost = np.isnan(values) & column.notna().to_numpy()
            wrong = lost | np.isinf(values) | ((kind == "yes or no") & ~np.isnan(values) & ~np.isin(values, [0.0, 1.0]))
            if wrong.any():
                problems.append(f"{name}: {int(wrong.sum()):,} values are no {kind} (first: {column[wrong].iloc[0]})")
                continue
            values = (values - coding.mean.get(name, 0.0)) / coding.scale.get(name, 1.0)
        if np.isnan(values).any() and kind not in coding.gaps:
            problems.append(f"{name}: {int(np.isnan(values).sum()):,} values are missing, and the fit saw no gaps")
        columns.append(values)
    if problems:
        raise ContractError("these indicators do not fit the classes", problems)
    return np.column_stack(columns)


def level_columns(indicators: pd.DataFrame, coding: Coding) -> pd.DataFrame:
    """Every level of every indicator as a column of 0 and 1, numbers as they are, gaps as NaN."""
    columns: dict[tuple[str, Any], Any] = {}
    for name, kind in coding.kinds.items():
        known = indicators[name].notna().to_numpy()
        if kind == "category":
            for level in coding.levels[name]:
                columns[name, level] = np.where(
                    known, (indicators[name] == level).to_numpy(float, na_value=np.nan), np.nan
                )
        else:
            columns[name, "yes" if kind == "yes or no" else "mean"] = indicators[name].to_numpy(float, na_value=np.nan)
    return pd.DataFrame(columns, index=indicators.index)
