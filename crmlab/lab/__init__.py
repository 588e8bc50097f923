"""The lab: run the chapters, record what they find, check exercises, compare with published numbers."""

from crmlab.lab.catalogue import Chapter, chapters
from crmlab.lab.checks import CheckResult, check, checker, close, judge, same_set, same_table
from crmlab.lab.parameters import Parameter
from crmlab.lab.records import export, record
from crmlab.lab.reproduction import Reproduction, published, reproduce
from crmlab.lab.results import ChapterResult, Event, Run
from crmlab.lab.runner import run

__all__ = [
    "Chapter",
    "ChapterResult",
    "CheckResult",
    "Event",
    "Parameter",
    "Reproduction",
    "Run",
    "chapters",
    "check",
    "checker",
    "close",
    "export",
    "judge",
    "published",
    "record",
    "reproduce",
    "run",
    "same_set",
    "same_table",
]
