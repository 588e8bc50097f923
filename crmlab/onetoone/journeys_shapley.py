"""The Shapley value: of any game, and of the game of conversion rates of channels."""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.onetoone.journeys_paths import TouchPaths

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

MOST_PLAYERS = 12  # 2^12 coalitions


def shapley(worth: Mapping[Any, float]) -> pd.Series:
    r"""Shapley value of a game: what each player adds, averaged over all orders in which they could join.

    .. math:: \phi_i = \sum_{S \not\ni i} \frac{|S|!\,(n - |S| - 1)!}{n!} \bigl(v(S \cup i) - v(S)\bigr)

    Computed from Harsanyi's dividends: the dividend of a coalition is what it is worth beyond all its parts, and goes
    to its members in equal parts.

    Parameters
    ----------
    worth : mapping
        From every coalition, a tuple or frozenset of players, to what it is worth; the empty one may be left out and is
        then 0. At most 12 players.

    Returns
    -------
    pandas.Series
        One value per player; they add up to the worth of all less that of none.

    Raises
    ------
    ContractError
        If a coalition is missing, is named twice, or its worth is no finite number.

    References
    ----------
    Shapley, L. S. (1953). A value for n-person games. *Contributions to the Theory of Games* II, 307-317.
    Harsanyi, J. C. (1963). A simplified bargaining model for the n-person cooperative game. *International Economic
    Review* 4, 194-220.

    Examples
    --------
    >>> shapley({("email",): 10, ("search",): 20, ("email", "search"): 24}).to_dict()
    {'email': 7.0, 'search': 17.0}
    """
    given = [(frozenset([key] if isinstance(key, str) else key), value) for key, value in worth.items()]
    players = list(dict.fromkeys(player for key in worth for player in ([key] if isinstance(key, str) else key)))
    _check_players(len(players))
    table = {frozenset(): 0.0} | dict(given)
    wanted = [frozenset(one) for size in range(len(players) + 1) for one in combinations(players, size)]
    problems = [f"no worth of {_named(one)}" for one in wanted if one not in table]
    if len(dict(given)) < len(given):
        problems.append("a coalition is named twice")
    problems += [f"{_named(one)}: {value!r} is no finite number" for one, value in table.items() if not _finite(value)]
    if problems:
        raise ContractError("this is no game", problems[:10])
    number = {player: 2**i for i, player in enumerate(players)}
    value = np.zeros(2 ** len(players))
    for one, money in table.items():
        value[sum(number[player] for player in one)] = money
    coalition = np.arange(len(value))
    each = _dividends(value) / np.maximum(_size(coalition), 1)
    found = {player: float(each[(coalition & bit) > 0].sum()) for player, bit in number.items()}
    return pd.Series(found, dtype=float, name="shapley")


def _check_players(n: int) -> None:
    if not 1 <= n <= MOST_PLAYERS:
        raise ContractError(f"an exact Shapley value is for 1 to {MOST_PLAYERS} players, got {n}: join some")


def _named(coalition: frozenset[Any]) -> str:
    return "{" + ", ".join(sorted(map(str, coalition))) + "}"


def _finite(value: object) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(float(value)))


def _size(coalition: "Ints") -> "Ints":
    return np.bitwise_count(coalition).astype("int64")


def _dividends(value: "Floats") -> "Floats":
    """Harsanyi's dividends of all coalitions, numbered by the bits of their members (a Möbius transform)."""
    found = value.astype(float).copy()
    bit = 1
    while bit < len(found):
        with_it = (np.arange(len(found)) & bit) > 0
        found[with_it] -= found[~with_it]
        bit *= 2
    return found


def rates_game(paths: TouchPaths) -> "Callable[[Floats], tuple[Floats, dict[str, Floats]]]":
    """Each customer's rate above the base rate, split by the Shapley value of the game of the customer's channels."""
    k = len(paths.channels)
    _check_players(k)
    pairs = paths.touches.drop_duplicates(["customer", "channel"])
    member = np.bincount(pairs["customer"], 2.0 ** pairs["channel"], len(paths.converted)).astype("int64")
    coalition = np.arange(2**k)
    inside = (coalition[:, None] & coalition) == coalition[:, None]  # row: part, column: whole
    needed = inside[:, np.bincount(member, minlength=2**k) > 0].any(axis=1)
    absent = np.flatnonzero(needed & (np.bincount(member, minlength=2**k) == 0))
    if len(absent):
        named = ["+".join(n for i, n in enumerate(paths.channels) if one >> i & 1) or "no channel" for one in absent]
        raise ContractError(
            "shapley_rates needs customers for every set of channels that is part of another's (give all customers to "
            f"touch_paths, or join rare channels); nobody has exactly: {'; '.join(named[:5])}"
        )
    share = (coalition[:, None] >> np.arange(k) & 1) / np.maximum(_size(coalition), 1)[:, None]

    def share_out(weight: "Floats") -> tuple["Floats", dict[str, "Floats"]]:
        number = np.bincount(member, weight, 2**k)
        won = np.bincount(member, weight * paths.converted, 2**k)
        rate = np.divide(won, number, out=np.zeros(2**k), where=number > 0)
        return np.where(needed, _dividends(rate), 0.0) * (inside @ number) @ share, {}

    return share_out
