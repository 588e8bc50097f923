"""What customers are worth, and whether it was raised: lifetime value."""

from crmlab.metrics.ltv_tables import ltv_table, margin_multiple, payback_period

__all__ = ["ltv_table", "margin_multiple", "payback_period"]
