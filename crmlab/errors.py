"""The few exceptions of crmlab.

Every message says what is wrong, where (column, rows, values) and what to do about it, so that it can be shown to a
reader as it is, without a traceback.
"""


class CrmlabError(Exception):
    """Base class: catch this one to catch every error that crmlab raises on purpose."""


class ContractError(CrmlabError):
    """A table, or a use of it, breaks the contract of its columns.

    Parameters
    ----------
    message : str
        What is wrong and what to do, readable without `problems`.
    problems : iterable of str, optional
        Every problem found, when there is more than one. They are appended to the message as a list.
    """

    def __init__(self, message: str, problems: "tuple[str, ...] | list[str]" = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  - ".join([message, *self.problems]))


class DataUnavailableError(CrmlabError):
    """A data set cannot be had here: a package is not installed, a download failed, a checksum differs."""


class ParameterError(CrmlabError):
    """A chapter, or a parameter of one, is unknown, of the wrong type or out of its range."""


class StoreError(CrmlabError):
    """A customer database cannot be opened, read or written as asked."""


class LabError(CrmlabError):
    """A lab cannot go on: a record named twice, a checker that is missing, a run folder that is not one."""
