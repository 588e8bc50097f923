"""The cost of choosing the wrong way to serve customers while what the choice rests on is uncertain."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmlab.contracts import broken_rules
from crmlab.errors import ContractError
from crmlab.relationship.portfolio import named_numbers, years_kept

_Z = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations


@dataclass(frozen=True, eq=False)
class ChoiceRisk:
    """What it may cost to choose the wrong plan while costs, effects, retention and margin are uncertain.

    Attributes
    ----------
    table : pandas.DataFrame
        By plan: ``value`` (mean over the draws, money per customer), ``low`` and ``high`` (95 % of the draws lie
        between), ``best_in`` (share of the draws in which it is the best), ``regret`` (mean loss against the best plan
        of each draw: the cost of choosing this one) and ``regret_error`` (standard error from the number of draws).
    sensitivity : pandas.DataFrame
        By uncertain input, the strongest first: its mean in the lowest and the highest tenth of its draws (``low``,
        ``high``), by how much `chosen` is ahead of `runner_up` there (``ahead_low``, ``ahead_high``, money per
        customer) and which plan is the best there (``best_low``, ``best_high``). An input
        that plays no part shows the noise of the draws.
    chosen, runner_up : str
        The plans with the highest and the second highest mean value.
    perfect_information : float
        The regret of the chosen plan: the most that knowing every input exactly would be worth, money per customer.
    draws : int
        Number of draws.
    """

    table: pd.DataFrame
    sensitivity: pd.DataFrame
    chosen: str
    runner_up: str
    perfect_information: float
    draws: int

    def __repr__(self) -> str:
        lead = f"{self.chosen} has the highest mean value of {self.draws:,} draws, {self.runner_up} the second"
        worth = f"knowing every input exactly would be worth {self.perfect_information:,.4g} per customer at most"
        return f"{lead};\n{worth}\n{self.table.round(3).to_string()}\n\n{self.sensitivity.round(3).to_string()}"


def choice_risk(
    plans: pd.DataFrame,
    *,
    margin: tuple[float, float],
    retention: tuple[float, float],
    annual_discount_rate: float,
    seed: int,
    draws: int = 10_000,
) -> ChoiceRisk:
    """Simulate the value of each plan under uncertain inputs, and the expected cost of choosing the wrong one.

    Every input is given by its 95 % limits and drawn on its own: money and hazard ratios log-normally, retention
    normally on the log-odds. Equal limits mean a number that is known. Value is that of `relationship_economics`.

    Parameters
    ----------
    plans : pandas.DataFrame
        One row per plan, named by the index: ``yearly_cost_low``, ``yearly_cost_high`` (money per customer; both 0 for
        a plan that costs nothing), ``hazard_ratio_low``, ``hazard_ratio_high``.
    margin : (float, float)
        Limits of the yearly margin before these costs, money, above 0.
    retention : (float, float)
        Limits of the share kept in a year where the hazard ratio is 1.
    annual_discount_rate : float
        0 or more; known.
    seed : int
        Seed of the draws.
    draws : int, default 10000
        At least 1,000.

    Raises
    ------
    ContractError
        If limits fall, are out of range, or two plans have the same ones; or if nothing is uncertain.

    References
    ----------
    Raiffa, H. & Schlaifer, R. (1961). *Applied Statistical Decision Theory*. Harvard University. (value of perfect
    information)

    Examples
    --------
    >>> names = ["yearly_cost_low", "yearly_cost_high", "hazard_ratio_low", "hazard_ratio_high"]
    >>> plans = pd.DataFrame([[0, 0, 1, 1], [15, 25, 0.4, 0.8]], ["basic", "partnership"], names)
    >>> limits = {"margin": (60.0, 100.0), "retention": (0.6, 0.7), "annual_discount_rate": 0.1}
    >>> choice_risk(plans, **limits, seed=1).chosen
    'partnership'
    """
    rows = _limits(plans, margin, retention, annual_discount_rate, draws)
    rng = np.random.default_rng(seed)
    inputs = {"margin": _log_normal(rng, *margin, draws)}
    odds = _log_normal(rng, retention[0] / (1 - retention[0]), retention[1] / (1 - retention[1]), draws)
    inputs["retention"] = odds / (1 + odds)
    values = {}
    for name, row in rows.iterrows():
        cost = _log_normal(rng, row["yearly_cost_low"], row["yearly_cost_high"], draws)
        ratio = _log_normal(rng, row["hazard_ratio_low"], row["hazard_ratio_high"], draws)
        inputs |= {f"yearly cost of {name}": cost, f"hazard ratio of {name}": ratio}
        values[str(name)] = (inputs["margin"] - cost) * years_kept(inputs["retention"] ** ratio, annual_discount_rate)
    drawn = pd.DataFrame(values)
    loss = -drawn.sub(drawn.max(axis=1), axis=0)
    limit = drawn.quantile([0.025, 0.975])
    table = pd.DataFrame({"value": drawn.mean(), "low": limit.loc[0.025], "high": limit.loc[0.975]})
    table["best_in"], table["regret"] = (loss == 0).mean(), loss.mean()
    table["regret_error"] = loss.std() / np.sqrt(draws)
    chosen, second = table["value"].nlargest(2).index
    uncertain = {name: x for name, x in inputs.items() if np.ptp(x) > 0}
    found = pd.DataFrame({name: _tenths(x, drawn, chosen, second) for name, x in uncertain.items()}).T
    strength = (found["ahead_high"] - found["ahead_low"]).abs().astype(float)
    found = found.loc[strength.sort_values(ascending=False).index].infer_objects()
    best = float(table.loc[chosen, "regret"])
    return ChoiceRisk(table.rename_axis("plan"), found.rename_axis("input"), chosen, second, best, draws)


def _limits(
    plans: pd.DataFrame, margin: tuple[float, float], retention: tuple[float, float], rate: float, draws: int
) -> pd.DataFrame:
    pairs = [(f"{what}_low", f"{what}_high") for what in ("yearly_cost", "hazard_ratio")]
    rows = named_numbers(plans, [name for pair in pairs for name in pair], "choice_risk")
    rules = {f"{low}: above {high}": rows[low] > rows[high] for low, high in pairs}
    (cost, cost_high), (ratio, _) = pairs
    rules["yearly_cost_low: not above 0, unless both limits are 0"] = (rows[cost] < 0) | (
        (rows[cost] == 0) & (rows[cost_high] > 0)
    )
    rules["hazard_ratio_low: not above 0"] = rows[ratio] <= 0
    rules["the same limits as another plan"] = rows.duplicated()
    problems = broken_rules(rules) + [
        f"{name} needs two limits, rising or equal, within {text}; got {given}"
        for name, given, top, text in (
            ("margin", margin, np.inf, "0 and infinity"),
            ("retention", retention, 1, "0 and 1"),
        )
        if len(given) != 2 or not 0 < given[0] <= given[1] < top
    ]
    if not 0 <= rate < np.inf:
        problems.append(f"annual_discount_rate must be 0 or more; got {rate}")
    if len(rows) < 2 or draws < 1_000:
        problems.append(f"at least 2 plans and 1,000 draws are needed; got {len(rows)} and {draws:,}")
    known = [
        *((rows[low] == rows[high]).all() for low, high in pairs),
        margin[0] == margin[-1],
        retention[0] == retention[-1],
    ]
    if not problems and all(known):
        problems.append("nothing is uncertain: use relationship_economics")
    if problems:
        raise ContractError("the risk of a choice cannot be simulated (rows counted from 1)", problems)
    return rows


def _log_normal(rng: np.random.Generator, low: float, high: float, draws: int) -> np.ndarray:
    """Draws of which 95 % lie between the limits; the same number throughout if they are equal."""
    normal = rng.standard_normal(draws)  # drawn in any case, so that other inputs keep their draws
    if low == high:
        return np.full(draws, float(low))
    return np.asarray(np.sqrt(low * high) * (high / low) ** (normal / (2 * _Z)))


def _tenths(x: np.ndarray, values: pd.DataFrame, chosen: str, second: str) -> dict[str, float | str]:
    row: dict[str, float | str] = {}
    low, high = np.quantile(x, [0.1, 0.9])
    for end, where in (("low", x <= low), ("high", x >= high)):
        mean = values[where].mean()
        row |= {end: float(x[where].mean()), f"ahead_{end}": float(mean[chosen] - mean[second])}
        row[f"best_{end}"] = str(mean.idxmax())
    return {name: row[name] for name in ("low", "high", "ahead_low", "ahead_high", "best_low", "best_high")}
