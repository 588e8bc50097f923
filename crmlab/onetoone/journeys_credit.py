"""Who gets the credit for a conversion: the usual rules of attribution, removal effects and Shapley values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from crmlab.contracts import one_of
from crmlab.errors import ContractError
from crmlab.onetoone.journeys_paths import TouchPaths
from crmlab.onetoone.journeys_shapley import rates_game
from crmlab.stats import check_level

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    ShareOut = Callable[[Floats], tuple[Floats, dict[str, Floats]]]

Rule = Literal["first", "last", "linear", "time_decay", "markov", "shapley", "shapley_rates"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """Conversions shared out among channels by a rule.

    Attributes
    ----------
    rule : str
        The rule.
    table : pandas.DataFrame
        One row per channel: ``credit`` (conversions), its interval ``low``, ``high``, ``share`` (of all credit), and
        ``touched`` (conversions with a touch of the channel). For ``"markov"`` also ``removal``, the share of the
        conversions that the chain loses without the channel.
    conversions, untouched : int
        Conversions with a touch, and without any, to which no rule gives credit.
    level : float
        Of the intervals.
    """

    rule: str
    table: pd.DataFrame
    conversions: int
    untouched: int
    level: float

    def __repr__(self) -> str:
        return (
            f"rule {self.rule}: {self.table['credit'].sum():,.1f} of {self.conversions:,} conversions with a touch "
            f"({self.untouched:,} without), {self.level:.0%} intervals\n{self.table.round(3).to_string()}"
        )


def attribute(
    paths: TouchPaths,
    rule: Rule,
    *,
    seed: int,
    half_life: float = 7.0,
    order: int = 1,
    draws: int = 200,
    level: float = 0.95,
) -> Attribution:
    r"""Share out conversions among channels. No rule is causal: none knows who would have converted anyway.

    ``first``, ``last``, ``linear``: to the first touch, to the last, to all touches in equal parts. ``time_decay``: in
    proportion to :math:`2^{-t/h}`, t days before the conversion, h the half-life.

    ``markov``: paths are a Markov chain of order k on the channels, from a start to conversion or to nothing; the
    *removal effect* of a channel is the share of the conversions that is lost if every step to it ends in nothing, and
    credit is in proportion to it. With an order as long as the longest path the removal effect is just the share of
    the conversions that the channel touched; with a lower one a channel that touched none can get credit.

    ``shapley``: the Shapley value of the game in which a coalition of channels is worth the conversions of the
    customers whom no other channel touched. Exact; it equals a split of each conversion in equal parts among the
    different channels that touched it.

    ``shapley_rates``: a coalition is worth the conversion rate of the customers touched by exactly these channels. Each
    customer's rate above that of the untouched is split by the Shapley value among the customer's channels. It would be
    causal if touches were given at random.

    Parameters
    ----------
    paths : TouchPaths
        From `touch_paths`.
    rule : str
        As above.
    seed : int
        Of the bootstrap.
    half_life : float, default 7
        Days, for ``time_decay``.
    order : int, default 1
        Of the Markov chain, 1 to 3.
    draws : int, default 200
        Draws of the Bayesian bootstrap over customers: all touches of one keep together.
    level : float, default 0.95
        Of the intervals, which are for the credit itself in other samples of as many customers.

    Raises
    ------
    ContractError
        If nobody with a touch converted, an option is out of its range, or for ``shapley_rates`` there are no
        customers with a set of channels that is part of another one's.

    References
    ----------
    Anderl, E., Becker, I., von Wangenheim, F. & Schumann, J. H. (2016). Mapping the customer journey. *International
    Journal of Research in Marketing* 33(3), 457-474. (removal effects, orders of the chain)
    Zhao, K., Mahboobi, S. H. & Bagheri, S. R. (2018). Shapley value methods for attribution modeling in online
    advertising. arXiv:1804.05327. (the first game)
    Dalessandro, B., Perlich, C., Stitelman, O. & Provost, F. (2012). Causally motivated attribution for online
    advertising. *ADKDD '12*. (the second)

    Examples
    --------
    >>> from crmlab.onetoone import touch_paths
    >>> day = pd.to_datetime(["2024-05-01", "2024-05-02", "2024-05-09"])
    >>> touches = pd.DataFrame({"customer_id": [1, 1, 2], "timestamp": day, "channel": ["email", "search", "email"]})
    >>> bought = pd.DataFrame({"customer_id": [1], "date": day[2:]})
    >>> attribute(touch_paths(touches, bought), "linear", seed=1).table["credit"].to_dict()
    {'email': 0.5, 'search': 0.5}
    """
    one_of("rule", rule, Rule)
    check_level(level)
    if not isinstance(paths, TouchPaths):
        raise ContractError(f"attribute needs the result of touch_paths, not {type(paths).__name__}")
    for name, value, least, most in (("order", order, 1, 3), ("draws", draws, 1, 100_000)):
        if not (least <= value <= most and value % 1 == 0):
            raise ContractError(f"{name} must be a whole number from {least} to {most:,}, got {value}")
    if not 0 < half_life < np.inf:
        raise ContractError(f"half_life must be a positive number of days, got {half_life}")
    n = len(paths.converted)
    won = paths.converted & paths.touched
    if not won.any():
        raise ContractError("nobody with a touch converted, so there is nothing to share out")
    if rule == "markov":
        share_out = _markov(paths, int(order))
    elif rule == "shapley_rates":
        share_out = rates_game(paths)
    else:
        share_out = _by_touch(paths, rule, half_life)
    credit, extra = share_out(np.ones(n))
    rng = np.random.default_rng(seed)
    drawn = np.array([share_out(_weights(rng, n))[0] for _ in range(draws)])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    met = paths.touches[won[paths.touches["customer"]]].drop_duplicates(["customer", "channel"])["channel"]
    columns = {"credit": credit, "low": low, "high": high, "share": credit / credit.sum()}
    columns |= {"touched": np.bincount(met, minlength=len(credit)), **extra}
    table = pd.DataFrame(columns, index=pd.Index(paths.channels, name="channel"))
    return Attribution(rule, table, int(won.sum()), int((paths.converted & ~paths.touched).sum()), level)


def _weights(rng: np.random.Generator, n: int) -> "Floats":
    weight = rng.standard_exponential(n)
    return np.asarray(weight * n / weight.sum())


def _by_touch(paths: TouchPaths, rule: str, half_life: float) -> "ShareOut":
    """A rule that is a weight for each touch of a converted customer."""
    rows = paths.touches[paths.converted[paths.touches["customer"]]]
    if rule == "shapley":
        rows = rows.drop_duplicates(["customer", "channel"])
    customer, channel = rows["customer"].to_numpy(), rows["channel"].to_numpy()
    change = np.r_[True, customer[1:] != customer[:-1]]
    part = {"first": change, "last": np.r_[change[1:], True]}.get(rule, np.ones(len(rows))) * 1.0
    if rule == "time_decay":
        nearest = rows.groupby("customer")["days"].transform("min")  # nothing is lost to rounding far back
        part = np.exp2(-(rows["days"] - nearest).to_numpy() / half_life)
    part /= np.bincount(customer, part)[customer]
    k = len(paths.channels)

    def share_out(weight: "Floats") -> tuple["Floats", dict[str, "Floats"]]:
        return np.bincount(channel, part * weight[customer], k).astype(float), {}

    return share_out


def _markov(paths: TouchPaths, order: int) -> "ShareOut":
    """Credit by removal effects in a chain whose states are the last `order` channels."""
    k, rows = len(paths.channels), paths.touches
    customer, channel = rows["customer"].to_numpy(), rows["channel"].to_numpy()
    place = rows.groupby("customer").cumcount().to_numpy()
    history = np.zeros(len(rows), dtype="int64")
    for lag in range(order):  # the latest channel is the lowest digit; 0 is before the start
        back = np.r_[np.zeros(lag, dtype="int64"), channel[: len(rows) - lag] + 1]
        history += np.where(place >= lag, back, 0) * (k + 1) ** lag
    states, code = np.unique(history, return_inverse=True)
    latest, m = states % (k + 1) - 1, len(states)
    first, final = place == 0, np.r_[customer[1:] != customer[:-1], True]
    source = np.r_[np.where(first, 0, np.r_[0, code[:-1] + 1]), code[final] + 1]
    goal = np.where(paths.converted[customer[final]], m, m + 1)
    cell = source * (m + 2) + np.r_[code, goal]
    whose = np.r_[customer, customer[final]]

    def share_out(weight: "Floats") -> tuple["Floats", dict[str, "Floats"]]:
        counts = np.bincount(cell, weight[whose], (m + 1) * (m + 2)).reshape(m + 1, m + 2)
        chain = counts / counts.sum(axis=1, keepdims=True)
        all_in = _success(chain, np.ones(m, dtype=bool))
        removal = np.array([1 - _success(chain, latest != one) / all_in for one in range(k)])
        conversions = counts[:, m].sum()
        return conversions * removal / removal.sum(), {"removal": removal}

    return share_out


def _success(chain: "Floats", kept: Any) -> float:
    """Chance to convert from the start, if every step to a state that is not kept ends in nothing."""
    m = len(kept)
    among, into = chain[1:, :m][np.ix_(kept, kept)], chain[1:, m][kept]
    return float(chain[0, :m][kept] @ np.linalg.solve(np.eye(len(among)) - among, into))
