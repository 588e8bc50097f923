"""Static covariates of the buying and the dropout process."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmlab.errors import ContractError
from crmlab.models.base import Likelihood, Part
from crmlab.models.counts import Histories, collapsed, tally
from crmlab.models.processes import Process

if TYPE_CHECKING:
    from crmlab.models.base import Floats


@dataclass(frozen=True)
class Covariates:
    """Covariates of the two processes, in the order of the histories."""

    tables: dict[str, pd.DataFrame]

    @classmethod
    def read(cls, given: dict[str, pd.DataFrame | None], histories: Histories) -> "Covariates":
        """Put the covariates in the order of the customers; all that is wrong with them is collected."""
        tables, problems = {}, []
        for name, table in given.items():
            if table is None:
                continue
            if "customer_id" in table.columns:
                table = table.set_index("customer_id")
            missing = histories.frame.index.difference(table.index)
            wrong = [
                str(c) for c in table if not pd.api.types.is_numeric_dtype(table[c]) or not np.isfinite(table[c]).all()
            ]
            if len(missing):
                problems.append(f"{name}: no covariates for {len(missing):,} customers (first: {missing[0]!r})")
            if wrong:
                problems.append(f"{name}: not finite numbers in {', '.join(wrong)}; make dummies of categories")
            if not table.index.is_unique:
                problems.append(f"{name}: the same customer twice")
            if not problems:
                tables[name] = table.loc[histories.frame.index].astype(float)
        if problems:
            raise ContractError("the covariates do not go with the summary", problems)
        return cls(tables)

    def designs(self, process: Process) -> "tuple[Floats | None, ...]":
        """For every parameter its covariates, with their sign."""
        found: dict[str, Floats] = {}
        for name, table in self.tables.items():
            for parameter, sign in process.linked[name]:
                found[parameter] = sign * table.to_numpy()
        return tuple(found.get(parameter) for parameter in process.parameters)

    def names(self, process: Process) -> dict[str, bool]:
        """Names of the coefficients, and whether each is the logarithm of a parameter."""
        names: dict[str, bool] = {}
        for parameter in process.parameters:
            names[parameter] = True
            for name, table in self.tables.items():
                if parameter in dict(process.linked[name]):
                    alone = len(process.linked[name]) == 1
                    names |= {f"{name if alone else parameter}_{column}": False for column in table}
        return names

    def params(self, process: Process, coefficients: "Floats") -> "list[Floats]":
        """Parameters at these coefficients: a number each, or one for every customer."""
        place, found = 0, []
        for z in self.designs(process):
            width = 0 if z is None else z.shape[1]
            own = coefficients[place + 1 : place + 1 + width]
            found.append(np.exp(coefficients[place] + (0.0 if z is None else z @ own)))
            place += 1 + width
        return found


def likelihood(process: Process, histories: Histories, covariates: Covariates) -> Likelihood:
    """The log-likelihood of histories; without covariates what depends on counts alone is summed over them first."""
    columns, weight, designs = histories.columns, histories.weight, covariates.designs(process)
    if covariates.tables:
        counts = Part(process.count_terms, columns[:1], weight, designs)
        times = Part(process.time_terms, columns, weight, designs, process.chunk)
    else:
        counts = Part(process.count_terms, *tally(columns[0], weight), designs)
        times = Part(process.time_terms, *collapsed(columns, weight), designs, process.chunk)
    return Likelihood((counts, times), float(weight.sum()))


def sample(histories: Histories, covariates: Covariates, rows: int) -> tuple[Histories, Covariates]:
    """So many rows of both, drawn with fixed random numbers."""
    chosen = np.random.default_rng(1).choice(len(histories.weight), rows, replace=False)
    tables = {name: table.iloc[chosen] for name, table in covariates.tables.items()}
    part = Histories(histories.frame.iloc[chosen], histories.weight[chosen], histories.time_unit)
    return part, Covariates(tables)
