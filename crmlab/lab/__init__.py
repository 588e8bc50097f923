"""The lab: run the chapters, record what they find, check exercises, compare with published numbers."""

from crmlab.lab.checks import CheckResult, check, checker, judge
from crmlab.lab.compare import close, same_set, same_table
from crmlab.lab.records import export, record

__all__ = ["CheckResult", "check", "checker", "close", "export", "judge", "record", "same_set", "same_table"]
