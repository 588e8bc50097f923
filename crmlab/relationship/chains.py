"""Stages as a Markov chain: who moves where, how long customers stay in a stage, and where they will be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.relationship.stages import sequences
from crmlab.stats import check_level

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StageChain:
    """Moves between stages from one period to the next, and the chain that they make.

    Attributes
    ----------
    counts : pandas.DataFrame, shape (k, k)
        Moves seen from the stage of the row to that of the column.
    probabilities : pandas.DataFrame, shape (k, k)
        counts / their row sum; a row of an absorbing stage stays where it is.
    low, high : pandas.DataFrame, shape (k, k)
        Wilson intervals of single probabilities, for moves that are independent given the stage.
    absorbing : tuple of str
        Stages that nobody leaves.
    customers : int
        Customers with at least one move.
    gaps : int
        Times that a customer was missing for a period or more; no move is counted across it.
    level : float
        Of the intervals.
    moves : pandas.DataFrame
        Moves by customer: ``customer`` (0, 1, ...), ``cell`` (row * k + column), ``count``.
    """

    counts: pd.DataFrame
    probabilities: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    absorbing: tuple[str, ...]
    customers: int
    gaps: int
    level: float
    moves: pd.DataFrame

    def time_to_leave(self) -> pd.DataFrame:
        """Mean periods in a stage without a break, 1 / (1 - p), with interval; infinite for an absorbing stage."""
        stages = self.counts.index
        parts = {"estimate": self.probabilities, "low": self.low, "high": self.high}
        with np.errstate(divide="ignore"):
            return pd.DataFrame({name: 1 / (1 - np.diag(part)) for name, part in parts.items()}, index=stages)

    def draws(self, n: int = 500, *, seed: int) -> "Floats":
        """Transition matrices drawn by the Bayesian bootstrap over customers.

        Every customer gets a standard exponential weight, and all moves of a customer get the same one. With one move a
        customer this is the Dirichlet distribution with the counts as parameters; with many it allows for customers who
        differ.

        Returns
        -------
        array, shape (n, k, k)

        Raises
        ------
        ContractError
            If `n` is no whole number from 1 on.

        References
        ----------
        Rubin, D. B. (1981). The Bayesian bootstrap. *Annals of Statistics* 9, 130-134.
        """
        if not (n >= 1 and n % 1 == 0):
            raise ContractError(f"n must be a whole number of draws, 1 or more; got {n}")
        rng, k = np.random.default_rng(seed), len(self.counts)
        who, cell, count = (self.moves[name].to_numpy() for name in ("customer", "cell", "count"))
        drawn = np.empty((n, k, k))
        for i in range(n):
            weight = rng.standard_exponential(self.customers)[who] * count
            drawn[i] = np.bincount(cell, weights=weight, minlength=k * k).reshape(k, k)
        for j, stage in enumerate(self.counts.index):
            if stage in self.absorbing:
                drawn[:, j] = np.arange(k) == j
        return np.asarray(drawn / drawn.sum(axis=2, keepdims=True))

    def interval(
        self, statistic: Callable[[pd.DataFrame], Any], *, seed: int, n: int = 500
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Lower and upper limits of anything that is computed from a transition matrix, by `draws`.

        Parameters
        ----------
        statistic : callable
            Takes a matrix like `probabilities` and returns a table, such as `time_in_stage`.
        seed, n : int
            Of the draws.
        """
        estimate, stages = statistic(self.probabilities), self.counts.index
        drawn = np.array([np.asarray(statistic(pd.DataFrame(p, stages, stages))) for p in self.draws(n, seed=seed)])
        limits = np.quantile(drawn, [(1 - self.level) / 2, (1 + self.level) / 2], axis=0)
        low, high = (pd.DataFrame(one, estimate.index, estimate.columns) for one in limits)
        return low, high

    def forecast(self, now: pd.Series, periods: int) -> pd.DataFrame:
        r"""Expected customers by stage after 0, 1, ..., `periods` periods, :math:`n P^t`; nobody new is added.

        Parameters
        ----------
        now : pandas.Series
            Customers by stage; stages that are not named hold nobody.
        periods : int
            How far ahead.
        """
        now = pd.Series(now)
        values = pd.to_numeric(now, errors="coerce")
        known = now.index.is_unique and now.index.isin(self.counts.index).all()
        counted = np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0
        if not (known and counted and periods >= 1 and periods % 1 == 0):
            raise ContractError(
                f"a forecast needs customers by stage ({', '.join(self.counts.index)}), 0 or more, and a whole number "
                f"of periods; got {periods} periods and {dict(now)}"
            )
        mix, matrix = values.reindex(self.counts.index, fill_value=0).to_numpy(float), self.probabilities.to_numpy()
        rows = [mix]
        for _ in range(periods):
            rows.append(rows[-1] @ matrix)
        return pd.DataFrame(rows, pd.RangeIndex(periods + 1, name="periods ahead"), self.counts.index)

    def __repr__(self) -> str:
        total = int(self.counts.to_numpy().sum())
        return (
            f"StageChain of {total:,} moves of {self.customers:,} customers between {len(self.counts)} stages; "
            f"{self.gaps:,} gaps, absorbing: {', '.join(self.absorbing) or 'none'}\n"
            "chance to be in the column's stage a period after the row's\n"
            f"{self.probabilities.round(3).to_string()}"
        )


def stage_chain(panel: pd.DataFrame, *, absorbing: Sequence[str] = (), level: float = 0.95) -> StageChain:
    r"""Estimate a Markov chain of stages from a panel.

    .. math:: \hat p_{ij} = n_{ij} / \sum_k n_{ik}

    with :math:`n_{ij}` moves from stage i to stage j in the next period.

    Parameters
    ----------
    panel : pandas.DataFrame
        ``customer_id``, ``period`` (whole numbers or pandas periods; one more is the next), ``stage`` (text; the order
        of categories is kept). One row per customer and period, such as from `purchase_stages`.
    absorbing : sequence of str
        Stages that nobody can leave. Moves out of one are an error.
    level : float, default 0.95
        Of the intervals.

    Raises
    ------
    ContractError
        If a value is missing, a customer has two rows in a period, there is only one stage, no move is seen, or a stage
        is never left or kept although it is not named absorbing.

    References
    ----------
    Anderson, T. W. & Goodman, L. A. (1957). Statistical inference about Markov chains. *Annals of Mathematical
    Statistics* 28, 89-110.
    Pfeifer, P. E. & Carraway, R. L. (2000). Modeling customer relationships as Markov chains. *Journal of Interactive
    Marketing* 14(2), 43-55.

    Examples
    --------
    >>> rows = {"customer_id": [1, 1, 1, 2, 2], "period": [1, 2, 3, 1, 2], "stage": ["on", "on", "off", "on", "on"]}
    >>> stage_chain(pd.DataFrame(rows), absorbing=["off"]).probabilities.round(2).loc["on"].to_dict()
    {'off': 0.33, 'on': 0.67}
    """
    from statsmodels.stats.proportion import proportion_confint

    check_level(level)
    stages, codes, gaps = sequences(panel, 2)
    k = len(stages)
    customer = pd.factorize(codes["customer_id"])[0]
    cell = codes["stage_1"].to_numpy() * k + codes["stage_0"].to_numpy()
    moves = pd.DataFrame({"customer": customer, "cell": cell}).value_counts(sort=False).rename("count").reset_index()
    counts = np.bincount(cell, minlength=k * k).reshape(k, k)
    _check_chain(counts, stages, absorbing)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    low, high = proportion_confint(counts, total + 0 * counts, alpha=1 - level, method="wilson")
    still = [stages.index(name) for name in absorbing]
    matrix = counts / total
    for part in (matrix, low, high):
        part[still] = np.eye(k)[still]
    seen, chance, least, most = (pd.DataFrame(one, stages, stages) for one in (counts, matrix, low, high))
    people = int(customer.max() + 1)
    return StageChain(seen, chance, least, most, tuple(absorbing), people, gaps, level, moves)


def _check_chain(counts: "npt.NDArray[np.int64]", stages: list[str], absorbing: Sequence[str]) -> None:
    outward = counts.sum(axis=1) - np.diag(counts)
    problems = [f"{name!r} is named absorbing but no stage of the panel" for name in absorbing if name not in stages]
    for i, stage in enumerate(stages):
        if stage in absorbing and outward[i]:
            problems.append(f"{stage!r} is named absorbing, but {outward[i]:,} moves lead out of it")
        elif stage not in absorbing and not counts[i].sum():
            problems.append(f"nobody is seen a period after {stage!r}: name it absorbing, or leave it out")
        elif stage not in absorbing and not outward[i]:
            problems.append(f"nobody ever leaves {stage!r}: name it absorbing")
    if problems:
        raise ContractError("these moves make no chain", problems)


def time_in_stage(probabilities: pd.DataFrame, horizon: int | None = None) -> pd.DataFrame:
    r"""Expected periods spent in each stage, from each stage on, the present period included.

    With absorbing stages :math:`N = (I - Q)^{-1}`, with Q the moves among the others; up to a horizon of H periods
    :math:`\sum_{t=0}^{H-1} P^t`.

    Parameters
    ----------
    probabilities : pandas.DataFrame, shape (k, k)
        Such as ``stage_chain(...).probabilities``; rows add up to 1.
    horizon : int, optional
        Count so many periods. Needed if there is no absorbing stage, or one cannot be reached.

    Returns
    -------
    pandas.DataFrame
        Start in the rows, stage in the columns; without horizon the stages that are not absorbing.

    References
    ----------
    Kemeny, J. G. & Snell, J. L. (1960). *Finite Markov Chains*, ch. 3. Van Nostrand.

    Examples
    --------
    >>> time_in_stage(pd.DataFrame([[0.8, 0.2], [0.0, 1.0]], ["on", "off"], ["on", "off"])).round(1).loc["on", "on"]
    np.float64(5.0)
    """
    matrix = _matrix(probabilities)
    if horizon is not None:
        if not (horizon >= 1 and horizon % 1 == 0):
            raise ContractError(f"horizon must be a whole number of periods, 1 or more; got {horizon}")
        power, total = np.eye(len(matrix)), np.zeros_like(matrix)
        for _ in range(horizon):
            total, power = total + power, power @ matrix
        return pd.DataFrame(total, probabilities.index, probabilities.columns)
    passing = _passing(matrix)
    among = matrix[np.ix_(passing, passing)]
    names = probabilities.index[passing]
    return pd.DataFrame(np.linalg.inv(np.eye(len(among)) - among), names, names)


def absorption(probabilities: pd.DataFrame) -> pd.DataFrame:
    r"""Chance to end in each absorbing stage, from each of the others: :math:`B = (I - Q)^{-1} R`.

    With Q the moves among the stages that are not absorbing and R those from them into absorbing ones.

    Parameters
    ----------
    probabilities : pandas.DataFrame, shape (k, k)
        With at least one absorbing stage that can be reached from every other.

    References
    ----------
    Kemeny, J. G. & Snell, J. L. (1960). *Finite Markov Chains*, ch. 3. Van Nostrand.

    Examples
    --------
    >>> stages = ["trial", "paying", "left"]
    >>> moves = pd.DataFrame([[0.2, 0.6, 0.2], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], stages, stages)
    >>> absorption(moves).round(2).loc["trial"].to_dict()
    {'paying': 0.75, 'left': 0.25}
    """
    matrix = _matrix(probabilities)
    passing = _passing(matrix)
    among, into = matrix[np.ix_(passing, passing)], matrix[np.ix_(passing, ~passing)]
    found = np.linalg.solve(np.eye(len(among)) - among, into)
    return pd.DataFrame(found, probabilities.index[passing], probabilities.columns[~passing])


def _matrix(probabilities: pd.DataFrame) -> "Floats":
    if not isinstance(probabilities, pd.DataFrame):
        raise ContractError(f"a transition matrix is a DataFrame, not {type(probabilities).__name__}")
    names = probabilities.index
    square = names.is_unique and len(names) > 1 and names.equals(probabilities.columns)
    matrix = probabilities.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    if not square or not (matrix >= 0).all() or not np.allclose(matrix.sum(axis=1), 1):
        raise ContractError(
            "a transition matrix has the same two stages or more as rows and columns, no negative number, and rows "
            "that add up to 1"
        )
    return matrix


def _passing(matrix: "Floats") -> Any:
    """Which stages are not absorbing; refuse if an absorbing one cannot be reached from each of them."""
    passing = np.diag(matrix) < 1
    reach = np.linalg.matrix_power((matrix > 0) | np.eye(len(matrix), dtype=bool), len(matrix)) > 0
    if passing.all() or not passing.any() or not reach[np.ix_(passing, ~passing)].any(axis=1).all():
        raise ContractError(
            "this needs an absorbing stage that can be reached from every other; without one give a horizon to "
            "time_in_stage, or name the stage that is to count as the end in stage_chain(..., absorbing=...)"
        )
    return passing


@dataclass(frozen=True, eq=False)
class OrderTest:
    """Whether the next stage depends on the stage before the present one.

    Attributes
    ----------
    statistic, df, p_value : float
        Likelihood ratio of the second order against the first, twice its log; approximately chi-squared.
    table : pandas.DataFrame
        One row per ``before``, ``now``, ``next`` with ``count``, ``second_order`` and ``first_order`` (chance of `next`
        given both, given `now`) and ``excess`` (moves more than the first order expects), largest excess first.
    """

    statistic: float
    df: int
    p_value: float
    table: pd.DataFrame

    def __repr__(self) -> str:
        head = (
            f"second against first order: {self.statistic:,.1f} on {self.df} degrees of freedom, p = {self.p_value:.3g}"
        )
        return f"{head}\n{self.table.head(3).round(3).to_string(index=False)}"


def order_test(panel: pd.DataFrame) -> OrderTest:
    r"""Likelihood-ratio test of a chain of first order against one of second order.

    .. math:: G^2 = 2 \sum_{hij} n_{hij} \log \frac{n_{hij} / n_{hi\cdot}}{n_{\cdot ij} / n_{\cdot i \cdot}}

    over runs of three consecutive periods. Given the stage i, degrees of freedom are (stages seen before it - 1) times
    (stages seen after it - 1). Customers who differ make a chain look as if it remembered: the test rejects then too.

    Parameters
    ----------
    panel : pandas.DataFrame
        As for `stage_chain`.

    Raises
    ------
    ContractError
        If the panel breaks its contract, no customer is seen three periods in a row, or the test has no degree of
        freedom.

    References
    ----------
    Anderson, T. W. & Goodman, L. A. (1957). Statistical inference about Markov chains. *Annals of Mathematical
    Statistics* 28, 89-110.
    Bishop, Y. M. M., Fienberg, S. E. & Holland, P. W. (1975). *Discrete Multivariate Analysis*, ch. 7. MIT Press.

    Examples
    --------
    >>> rows = {"customer_id": np.repeat(["ann", "bob", "cy", "di"], 4), "period": [1, 2, 3, 4] * 4}
    >>> order_test(pd.DataFrame(rows | {"stage": list("ababbabaaabbbbaa")})).df
    2
    """
    from scipy.special import chdtrc

    stages, runs, _ = sequences(panel, 3)
    keys = ["stage_2", "stage_1", "stage_0"]
    table = runs.groupby(keys).size().rename("count").reset_index()
    pair = table.groupby(keys[:2])["count"].transform("sum")
    now = table.groupby("stage_1")["count"].transform("sum")
    then = table.groupby(keys[1:])["count"].transform("sum")
    second, first = table["count"] / pair, then / now
    statistic = float(max(2 * (table["count"] * np.log(second / first)).sum(), 0.0))
    seen = table.groupby("stage_1")[["stage_2", "stage_0"]].nunique() - 1
    df = int((seen["stage_2"] * seen["stage_0"]).sum())
    if df == 0:
        raise ContractError("every stage is reached from one stage only, or left to one only: there is nothing to test")
    names = dict(enumerate(stages))
    shown = table.rename(columns=dict(zip(keys, ["before", "now", "next"], strict=True)))
    shown[["before", "now", "next"]] = shown[["before", "now", "next"]].map(names.get)
    shown = shown.assign(second_order=second, first_order=first, excess=table["count"] - pair * first)
    shown = shown.sort_values("excess", ascending=False, ignore_index=True)
    return OrderTest(statistic, df, float(chdtrc(df, statistic)), shown)
