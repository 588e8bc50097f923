"""Relationships with customers: how long they last, why they end, and what can be done about it.

* `read_spells` checks relationships with begin and end; `survival`, `life_table`, `retention_table` say who stays.
* `purchase_stages` reads life-cycle stages from purchases; `stage_chain`, `time_in_stage`, `absorption`, `order_test`
  treat stages as a Markov chain.
* Figures are in `crmlab.relationship.plots`.
"""

from crmlab.relationship.chains import OrderTest, StageChain, absorption, order_test, stage_chain, time_in_stage
from crmlab.relationship.retention import (
    LifeTable,
    RetentionTable,
    SurvivalCurve,
    life_table,
    retention_table,
    survival,
)
from crmlab.relationship.spells import Spells, read_spells
from crmlab.relationship.stages import purchase_stages

__all__ = [
    "LifeTable",
    "OrderTest",
    "RetentionTable",
    "Spells",
    "StageChain",
    "SurvivalCurve",
    "absorption",
    "life_table",
    "order_test",
    "purchase_stages",
    "read_spells",
    "retention_table",
    "stage_chain",
    "survival",
    "time_in_stage",
]
