"""What a plan of testing costs and brings: an A/B test and two bandits on the same traffic."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmlab.contracts import one_of
from crmlab.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Floats = npt.NDArray[np.float64]

Player = Literal["ab", "thompson", "contextual"]


@dataclass(frozen=True, eq=False)
class BanditRun:
    """One play of a plan on traffic whose chances are known.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per customer in the order of arrival: ``arm`` played, ``reward``, ``chance`` that it had, ``regret`` so
        far (expected rewards missed against the one arm that is best over all rounds), ``regret_context`` (against the
        best arm of every single round).
    arms : pandas.DataFrame
        One row per arm: ``plays``, ``mean`` reward observed in all of them, and ``truth``, the mean chance over all
        rounds. ``test_plays`` and ``test_mean`` are those of the rounds that were dealt evenly: the whole test in an
        A/B test, the first batch of a bandit.
    player : {"ab", "thompson", "contextual"}
        How it was played.
    """

    table: pd.DataFrame
    arms: pd.DataFrame
    player: Player

    @property
    def regret(self) -> float:
        """Expected rewards missed in all rounds, against the one best arm; a contextual bandit can be below 0."""
        return float(self.table["regret"].iloc[-1])

    def __repr__(self) -> str:
        return (
            f"{self.player} over {len(self.table):,} customers: {self.table['reward'].sum():,} rewards, regret "
            f"{self.regret:.1f}\n{self.arms.round(4).to_string()}"
        )


def play_bandit(
    chances: "ArrayLike",
    player: Player,
    *,
    seed: int,
    test: int = 0,
    context: "ArrayLike | None" = None,
    batch: int = 100,
    delay: int = 0,
    explore: float = 0.25,
) -> BanditRun:
    """Play a plan of testing against chances that are known: a rehearsal before real customers.

    Customers arrive in batches; what a batch brought is known `delay` batches later. The first batch, and whatever
    comes before the first feedback, is dealt evenly by lot. Plays of the same `seed` meet the same luck: customer i
    responds to arm a in all of them or in none.

    * ``"ab"``: deal at least `test` customers evenly; once their feedback is in, play the arm of the highest mean.
    * ``"thompson"``: draw each arm's rate from its posterior, Beta(1 + rewards, 1 + misses), and play the highest
      (mabwiser's ``ThompsonSampling``).
    * ``"contextual"``: the same with a linear model of the reward per arm (mabwiser's ``LinTS``).

    Parameters
    ----------
    chances : array_like of float, shape (rounds, arms)
        Chance of a reward by customer and arm. Rows may differ: customers are not alike, and times change.
    player : {"ab", "thompson", "contextual"}
        How to play.
    seed : int
        Seed of the luck and of the player.
    test : int, default 0
        Customers of the test, for ``"ab"``, at least one for every arm; whole batches are tested.
    context : array_like of float, shape (rounds, k), optional
        What is known of each customer, for ``"contextual"``. Give a column of ones for a constant.
    batch : int, default 100
        Customers who are decided about at once.
    delay : int, default 0
        Batches that pass between a batch and its feedback, beyond the one itself.
    explore : float, default 0.25
        Standard deviation of a reward that the draws of ``"contextual"`` assume: 0.25 for a rate of some 7 %. With a
        larger one they are wider, and it explores more.

    Returns
    -------
    BanditRun

    Raises
    ------
    ContractError
        If an argument is out of its range, or `test` or `context` is missing where it is needed.

    References
    ----------
    Thompson, W. R. (1933). On the likelihood that one unknown probability exceeds another. *Biometrika* 25, 285-294.
    Agrawal, S. & Goyal, N. (2013). Thompson sampling for contextual bandits with linear payoffs. *PMLR* 28(3), 127-135.

    Examples
    --------
    >>> run = play_bandit([[0.1, 0.3]] * 2_000, "thompson", seed=1)
    >>> run.arms["plays"].idxmax(), run.regret < 2_000 * 0.1
    (1, True)
    """
    p, x = _read(chances, player, test, context, batch, delay, explore)
    seed, batch, delay = int(seed), int(batch), int(delay)
    rounds, arms = p.shape
    luck, dealer = (np.random.default_rng([seed, one]) for one in (0, 1))
    wins = luck.random((rounds, 1)) < p  # one number per customer: who responds to the worse arm would to the better
    played, dealt = np.full(rounds, -1), np.zeros(rounds, dtype=bool)
    bandit = None if player == "ab" else _bandit(player, arms, explore, seed)
    known, learnt, winner = 0, False, -1
    evenly = test if player == "ab" else 1
    for start in range(0, rounds, batch):
        rows = slice(start, min(start + batch, rounds))
        back = max(0, start - delay * batch)
        if bandit is not None and back > known:
            new = slice(known, back)
            first = {} if x is None else {"contexts": x[new]}
            (bandit.partial_fit if learnt else bandit.fit)(
                played[new], wins[new][_at(played[new])].astype(int), **first
            )
            known, learnt = back, True
        if back < min(evenly, rounds):
            played[rows], dealt[rows] = dealer.permutation(np.arange(rows.stop - start) % arms), True
        elif bandit is None:
            winner = int(np.nanargmax(_means(played[:back], wins[:back], arms)[1])) if winner < 0 else winner
            played[rows] = winner
        else:
            told = np.zeros((rows.stop - start, 1)) if x is None else x[rows]
            played[rows] = np.atleast_1d(bandit.predict(told))
    return _run(p, wins, played, dealt, player)


def _at(played: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return np.arange(len(played)), played


def _means(played: npt.NDArray[np.int64], wins: npt.NDArray[np.bool_], arms: int) -> "tuple[Floats, Floats]":
    plays = np.bincount(played, minlength=arms).astype(float)
    rewards = np.bincount(played, weights=wins[_at(played)], minlength=arms)
    return plays, np.divide(rewards, plays, out=np.full(arms, np.nan), where=plays > 0)


def _bandit(player: Player, arms: int, explore: float, seed: int) -> Any:
    from mabwiser.mab import MAB, LearningPolicy

    policy = LearningPolicy.ThompsonSampling() if player == "thompson" else LearningPolicy.LinTS(alpha=explore)
    return MAB(list(range(arms)), policy, seed=seed)


def _run(
    p: "Floats",
    wins: npt.NDArray[np.bool_],
    played: npt.NDArray[np.int64],
    dealt: npt.NDArray[np.bool_],
    player: Player,
) -> BanditRun:
    chance = p[_at(played)]
    table = pd.DataFrame(
        {
            "arm": played,
            "reward": wins[_at(played)].astype(int),
            "chance": chance,
            "regret": np.cumsum(p[:, p.mean(axis=0).argmax()] - chance),
            "regret_context": np.cumsum(p.max(axis=1) - chance),
        }
    )
    plays, mean = _means(played, wins, p.shape[1])
    test_plays, test_mean = _means(played[dealt], wins[dealt], p.shape[1])
    arms = pd.DataFrame(
        {
            "plays": plays.astype(int),
            "mean": mean,
            "test_plays": test_plays.astype(int),
            "test_mean": test_mean,
            "truth": p.mean(axis=0),
        },
        index=pd.RangeIndex(p.shape[1], name="arm"),
    )
    return BanditRun(table, arms, player)


def _read(
    chances: "ArrayLike",
    player: Player,
    test: int,
    context: "ArrayLike | None",
    batch: int,
    delay: int,
    explore: float,
) -> "tuple[Floats, Floats | None]":
    one_of("player", player, Player)
    try:
        p = np.asarray(chances, dtype=float)
    except (TypeError, ValueError) as error:
        raise ContractError(f"chances must be numbers: {error}") from None
    if p.ndim != 2 or p.shape[0] < 1 or p.shape[1] < 2:
        raise ContractError(f"chances need one row per customer and a column for each of 2 arms or more, got {p.shape}")
    problems = [] if ((p >= 0) & (p <= 1)).all() else ["chances: not all between 0 and 1"]
    for name, value, low in (("batch", batch, 1), ("delay", delay, 0), ("test", test, 0)):
        if not (value >= low and value % 1 == 0):
            problems.append(f"{name}: must be a whole number of {low} or more, got {value}")
    if not explore > 0:
        problems.append(f"explore: must be above 0, got {explore}")
    if player == "ab" and not p.shape[1] <= test <= len(p):
        problems.append(f"test: needs one customer per arm and at most all, {p.shape[1]} to {len(p):,}, got {test}")
    try:
        x = None if context is None or player != "contextual" else np.asarray(context, dtype=float)
    except (TypeError, ValueError) as error:
        raise ContractError(f"context must be numbers: {error}") from None
    if player == "contextual" and not (
        x is not None and x.ndim == 2 and len(x) == len(p) and x.size > 0 and np.isfinite(x).all()
    ):
        problems.append("context: a contextual bandit needs one row of finite numbers per customer")
    if problems:
        raise ContractError("this plan cannot be played", problems)
    return p, x
