"""Relationships with customers: how long they last, why they end, and what can be done about it.

* `read_spells` checks relationships with begin and end; `survival`, `life_table`, `retention_table` say who stays.
* `purchase_stages` reads life-cycle stages from purchases; `stage_chain`, `time_in_stage`, `absorption`, `order_test`
  treat stages as a Markov chain.
* `person_periods`, `history_before` and `split_in_time` prepare a model of leaving without a look into the future.
* `maximum_profit`, `expected_maximum_profit`, `savings_curve`, `targeting_value` and `ask_at_minimum_risk` say what
  asking the riskiest to stay is worth; `choose_hiatus` and `gone_errors` when silence means gone.
* Figures are in `crmlab.relationship.plots` and `crmlab.relationship.churn_plots`.
"""

from crmlab.relationship.chains import OrderTest, StageChain, absorption, order_test, stage_chain, time_in_stage
from crmlab.relationship.churn import PersonPeriods, TimeSplit, history_before, person_periods, split_in_time
from crmlab.relationship.churn_costs import (
    COSTS,
    SavingsCurve,
    TargetingValue,
    ask_at_minimum_risk,
    savings_curve,
    targeting_value,
)
from crmlab.relationship.churn_profit import (
    ExpectedMaximumProfit,
    MaximumProfit,
    expected_maximum_profit,
    maximum_profit,
)
from crmlab.relationship.lexis import RetentionTable, retention_table
from crmlab.relationship.retention import LifeTable, SurvivalCurve, life_table, survival
from crmlab.relationship.silence import GoneErrors, Hiatus, choose_hiatus, gone_errors
from crmlab.relationship.spells import Spells, read_spells
from crmlab.relationship.stages import purchase_stages

__all__ = [
    "COSTS",
    "ExpectedMaximumProfit",
    "GoneErrors",
    "Hiatus",
    "LifeTable",
    "MaximumProfit",
    "OrderTest",
    "PersonPeriods",
    "RetentionTable",
    "SavingsCurve",
    "Spells",
    "StageChain",
    "SurvivalCurve",
    "TargetingValue",
    "TimeSplit",
    "absorption",
    "ask_at_minimum_risk",
    "choose_hiatus",
    "expected_maximum_profit",
    "gone_errors",
    "history_before",
    "life_table",
    "maximum_profit",
    "order_test",
    "person_periods",
    "purchase_stages",
    "read_spells",
    "retention_table",
    "savings_curve",
    "split_in_time",
    "stage_chain",
    "survival",
    "targeting_value",
    "time_in_stage",
]
