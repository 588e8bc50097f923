"""The touches of each customer in order, up to the conversion: what every rule of attribution starts from."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules, require_columns
from crmlab.errors import ContractError

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class TouchPaths:
    """The touches of each customer, up to the conversion or to the end.

    Attributes
    ----------
    touches : pandas.DataFrame
        ``customer`` (row of `converted`), ``channel`` (code), ``days`` before the conversion (0 for who did not
        convert); by customer and time.
    channels : tuple of str
        Name of each code.
    converted : array of bool
        One per customer who could have been touched.
    left_out : mapping of str to int
        Touches that were not kept, by reason.
    """

    touches: pd.DataFrame
    channels: tuple[str, ...]
    converted: "npt.NDArray[np.bool_]"
    left_out: Mapping[str, int]

    @property
    def touched(self) -> "npt.NDArray[np.bool_]":
        """Whether a customer has any touch."""
        return np.bincount(self.touches["customer"], minlength=len(self.converted)) > 0

    def __repr__(self) -> str:
        head = (
            f"{len(self.touches):,} touches in {len(self.channels)} channels ({', '.join(self.channels)}) of "
            f"{self.touched.sum():,} customers out of {len(self.converted):,}; {self.converted.sum():,} converted, "
            f"{(self.converted & ~self.touched).sum():,} of them without any touch"
        )
        return "\n".join([head, *(f"  left out: {n:,} {what}" for what, n in self.left_out.items() if n)])


def touch_paths(
    touches: pd.DataFrame,
    conversions: pd.DataFrame,
    *,
    customers: Iterable[Hashable] | None = None,
    lookback: float | None = None,
) -> TouchPaths:
    """Put the touches of every customer in order, up to the conversion.

    Parameters
    ----------
    touches : pandas.DataFrame
        ``customer_id``, ``timestamp``, ``channel``; one row per advertisement seen (or clicked).
    conversions : pandas.DataFrame
        ``customer_id``, ``date``; one row per customer who converted.
    customers : iterable, optional
        Everybody who could have been touched, once each; needed to know how many converted without a touch. Default:
        who has a touch or a conversion.
    lookback : float, optional
        Days before the conversion; earlier touches get no credit. It cuts the paths of the converted only, so the rule
        ``"shapley_rates"`` and removal effects are distorted by it.

    Raises
    ------
    ContractError
        If a column is missing or of the wrong type, a value is missing, a customer converts twice or is not among
        `customers`, or no touch is left.

    Examples
    --------
    >>> day = pd.to_datetime
    >>> seen = day(["2024-05-01", "2024-05-02", "2024-05-09"])
    >>> touches = pd.DataFrame({"customer_id": [1, 1, 2], "timestamp": seen, "channel": ["email", "search", "email"]})
    >>> touch_paths(touches, pd.DataFrame({"customer_id": [1], "date": day(["2024-05-03"])}))
    3 touches in 2 channels (email, search) of 2 customers out of 2; 1 converted, 0 of them without any touch
    """
    _check_touches(touches, conversions)
    if lookback is not None and not lookback > 0:
        raise ContractError(f"lookback must be a positive number of days, got {lookback}")
    everybody = pd.concat([touches["customer_id"], conversions["customer_id"]]).unique()
    who = pd.Index(everybody if customers is None else customers)
    if not who.is_unique:
        raise ContractError(f"customers names {who.duplicated().sum():,} customers more than once")
    strangers = everybody[~pd.Index(everybody).isin(who)]
    if len(strangers):
        first = ", ".join(map(str, strangers[:3]))
        raise ContractError(f"{len(strangers):,} customers with touches or conversions are not in customers: {first}")
    when = conversions.set_index("customer_id")["date"].reindex(who).to_numpy()
    table = pd.DataFrame(
        {"customer": who.get_indexer(pd.Index(touches["customer_id"])), "at": touches["timestamp"].to_numpy()}
    )
    code, names = pd.factorize(touches["channel"].astype(str), sort=True)
    table["channel"] = code
    table["days"] = (when[table["customer"]] - table["at"]) / pd.Timedelta(days=1)
    late = table["days"] < 0
    early = table["days"] > (np.inf if lookback is None else lookback)
    table = table[~(late | early)].sort_values(["customer", "at"], kind="stable", ignore_index=True)
    if table.empty:
        raise ContractError("no touch came before a conversion or went to a customer who did not convert")
    kept = table[["customer", "channel"]].assign(days=table["days"].fillna(0.0))
    left_out = {"touches after the conversion": int(late.sum()), "touches before the look-back": int(early.sum())}
    return TouchPaths(kept, tuple(names), ~pd.isna(when), left_out)


def _check_touches(touches: pd.DataFrame, conversions: pd.DataFrame) -> None:
    require_columns(touches, ["customer_id", "timestamp", "channel"], "a path of touches")
    require_columns(conversions, ["customer_id", "date"], "a path of touches")
    problems = []
    for name, frame, column in (("touches", touches, "timestamp"), ("conversions", conversions, "date")):
        if not pd.api.types.is_datetime64_dtype(frame[column]):
            kind = frame[column].dtype
            problems.append(f"{name}: column {column!r} must hold times without a time zone, it is of type {kind}")
    rules = {f"touches, {name}: missing": touches[name].isna() for name in ("customer_id", "timestamp", "channel")}
    rules |= {f"conversions, {name}: missing": conversions[name].isna() for name in ("customer_id", "date")}
    rules["conversions, customer_id: again (keep the first, or make a key per order)"] = conversions[
        "customer_id"
    ].duplicated()
    problems += broken_rules(rules)
    if not problems and touches.empty:
        problems.append("touches: no row")
    if problems:
        raise ContractError("these tables make no paths (rows counted from 1)", problems)
