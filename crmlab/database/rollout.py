"""Test and roll-out: cells of customers are tested with a few letters, and the good ones get the rest.

The best cells of a test are partly the lucky ones. A beta-binomial draws every rate towards that of all cells, the more
the fewer letters it rests on, and the decision is made on the rate that is left.
"""

from dataclasses import dataclass

import pandas as pd

from crmlab.contracts import aligned, broken_rules, require_columns
from crmlab.database.mailing import break_even_rate, mailing_profit
from crmlab.errors import ContractError
from crmlab.models import BetaBinomial, BetaBinomialResults

_NEEDED = ["tested", "responses", "remaining"]


@dataclass(frozen=True, eq=False)
class RollOut:
    """Which cells get the roll-out, by their test rate and by the model.

    Attributes
    ----------
    table : pandas.DataFrame, shape (cells, 11)
        With the cells as index: ``tested``, ``responses``, ``remaining`` (customers who have not been contacted),
        ``test_rate``, ``shrunken_rate`` (posterior mean) with its interval ``low`` to ``high``, ``chance_above``
        (posterior chance that the rate is above break-even), ``mail_by_test`` and ``mail_by_model`` (rate above
        break-even), and ``expected_profit`` of contacting the remaining, at the shrunken rate.
    fit : BetaBinomialResults
        The spread of the rates over cells.
    margin, contact_cost : float
        Money that a response leaves, and money per contact.
    """

    table: pd.DataFrame
    fit: BetaBinomialResults
    margin: float
    contact_cost: float

    @property
    def break_even_rate(self) -> float:
        """contact_cost / margin."""
        return break_even_rate(self.contact_cost, self.margin)

    @property
    def rules(self) -> dict[str, pd.Series]:
        """Cells that each rule contacts, as booleans: everybody, by test rate, by model."""
        everybody = pd.Series(True, index=self.table.index)
        return {"all": everybody, "test rate": self.table["mail_by_test"], "model": self.table["mail_by_model"]}

    def summary(self, responses: pd.Series | None = None) -> pd.DataFrame:
        """What each rule contacts and earns.

        Parameters
        ----------
        responses : pandas.Series, optional
            Responses of the remaining customers of every cell, once they are known, indexed as `table`. Without them
            they are expected from the shrunken rates.

        Returns
        -------
        pandas.DataFrame, shape (3, 4)
            For the rules ``all``, ``test rate`` and ``model``: ``cells``, ``contacted``, ``responses``, ``profit``.
        """
        remaining = self.table["remaining"]
        answers = self.table["shrunken_rate"] * remaining if responses is None else self._known(responses)
        found = {name: [on.sum(), remaining[on].sum(), answers[on].sum()] for name, on in self.rules.items()}
        table = pd.DataFrame.from_dict(found, orient="index", columns=["cells", "contacted", "responses"])
        table = table.astype({"cells": "int64"}).rename_axis("rule")
        table["profit"] = mailing_profit(
            table["contacted"], table["responses"], margin=self.margin, contact_cost=self.contact_cost
        )
        return table

    def _known(self, responses: pd.Series) -> pd.Series:
        if responses.index.duplicated().any():
            raise ContractError("the same cell twice in the responses of a roll-out")
        known = aligned("a roll-out", responses=responses)["responses"].reindex(self.table.index)
        bad = known.isna() | (known < 0) | (known > self.table["remaining"])
        if bad.any():
            raise ContractError(
                f"responses must be known for every cell, from 0 to its remaining customers; {int(bad.sum())} are not "
                f"(first: {bad.idxmax()})"
            )
        return known

    def __repr__(self) -> str:
        alpha, beta = self.fit.params
        return (
            f"Roll-out of {len(self.table)} cells, break-even rate {self.break_even_rate:.4g}\n"
            f"  rates ~ Beta({alpha:.3g}, {beta:.3g}), mean {self.fit.mean():.4g}\n"
            f"  {int(self.table['mail_by_test'].sum())} cells by their test rate, "
            f"{int(self.table['mail_by_model'].sum())} by the model"
        )


def roll_out(cells: pd.DataFrame, *, margin: float, contact_cost: float, level: float = 0.95) -> RollOut:
    """Decide from a test which cells of customers to contact.

    Parameters
    ----------
    cells : pandas.DataFrame
        One row per cell, its name as index: ``tested`` (contacts of the test), ``responses`` (to it) and ``remaining``
        (customers to roll out to). The tested must be a random part of the cell.
    margin : float
        Money that a response leaves.
    contact_cost : float
        Money per contact.
    level : float, default 0.95
        Posterior probability of the intervals.

    Raises
    ------
    ContractError
        If a column is missing, a cell is there twice, or a number is not possible.
    ConvergenceError
        If the rates differ no more than by chance, nobody or everybody responded: then one rate decides for all cells.

    References
    ----------
    Morwitz, V. G. & Schmittlein, D. C. (1998). Testing new direct marketing offerings: the interplay of management
    judgment and statistical models. *Management Science* 44(5), 610-628.

    Examples
    --------
    >>> test = {"tested": [50, 50, 50, 50], "responses": [0, 2, 5, 13], "remaining": [900, 900, 900, 900]}
    >>> decided = roll_out(pd.DataFrame(test, index=["a", "b", "c", "d"]), margin=20.0, contact_cost=2.0)
    >>> decided.table[["test_rate", "shrunken_rate", "mail_by_model"]].round(3)
       test_rate  shrunken_rate  mail_by_model
    a       0.00          0.013          False
    b       0.04          0.048          False
    c       0.10          0.100          False
    d       0.26          0.239           True
    """
    limit = break_even_rate(contact_cost, margin)
    _check_cells(cells)
    table = cells[_NEEDED].copy()
    fit = BetaBinomial(table["responses"], table["tested"]).fit()
    rates = fit.rates(level=level).rename(columns={"observed": "test_rate", "estimate": "shrunken_rate"})
    table = table.join(rates).assign(chance_above=fit.chance_above(min(limit, 1.0)))
    table["mail_by_test"], table["mail_by_model"] = table["test_rate"] > limit, table["shrunken_rate"] > limit
    answers = table["shrunken_rate"] * table["remaining"]
    table["expected_profit"] = mailing_profit(table["remaining"], answers, margin=margin, contact_cost=contact_cost)
    return RollOut(table, fit, float(margin), float(contact_cost))


def _check_cells(cells: pd.DataFrame) -> None:
    require_columns(cells, _NEEDED, "roll_out")
    numbers = aligned("a roll-out", **{name: cells[name] for name in _NEEDED})
    rules = {
        "remaining: below 0": numbers["remaining"] < 0,
        "index: the same cell twice": cells.index.duplicated(),
    }
    problems = broken_rules(rules)
    if problems:
        raise ContractError("these are no cells of a test (rows counted from 1)", problems)
