"""What a finished FASTQ view holds, measured on its very bytes: every record of our form, or it is not ours.

Not here: the judgement (the gate table), and whether a value of the source survived (``deid.leakcheck``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

from deid import bgzf
from deid.fastq.core import chunks_of, pieces_of
from deid.fastq.errors import FastqError
from deid.variants.stream import Workers

RECORD = re.compile(rb"@[A-Za-z0-9_-]{14}\n([A-Za-z.*-]*)\n\+\n([!-~]*)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class FastqFound:
    """What a view holds."""

    records: int
    quality_levels: int


def assess_view(core: BinaryIO) -> FastqFound:
    """What the FASTQ that this room wrote holds.

    Raises ``FastqError``: ``not_ours`` with the line where a record has another form than this room writes (a comment,
    a name of another kind, a repeated name), and what reading finds.
    """
    workers, records, seen = Workers(1), 0, set[int]()
    try:
        for chunk in chunks_of(pieces_of(core, workers)):
            text, at = chunk.records, 0
            while at < len(text):
                found = RECORD.match(text, at)
                if found is None or len(found[1]) != len(found[2]):
                    raise FastqError(
                        "not_ours", "the record has another form than this room writes", line=4 * records + 1
                    )
                seen.update(found[2])
                records, at = records + 1, found.end()
    except bgzf.ContainerError as error:
        raise FastqError(error.code, str(error)) from error
    finally:
        workers.close()
    return FastqFound(records=records, quality_levels=len(seen))
