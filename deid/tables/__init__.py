"""Tables of people: ``core_table`` makes the recipient-independent view, ``copy_table`` one recipient's copy of it."""

from deid.tables.copying import copy_table
from deid.tables.core import TableOutcome, core_table

__all__ = ["TableOutcome", "copy_table", "core_table"]
