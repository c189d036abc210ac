"""One recipient's copy of a matrix: internal codes become that recipient's names, columns follow the names.

Nothing is decided, counted or left out. Only what ``core_matrix`` writes is accepted, so that a source file given by
mistake does not pass. Not here: where names come from, sealing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from deid import bgzf
from deid.matrices.core import MatrixCounts, numbered_lines
from deid.matrices.errors import MatrixError
from deid.pseudonyms import check_names
from deid.variants.stream import Workers, Written, write_text

FIRST = "feature"


def copy_matrix(core: BinaryIO, sink: BinaryIO, *, names: Mapping[str, str], level: int = 6) -> MatrixCounts:
    """Write ``core`` with every code replaced by ``names[code]``, as BGZF text; ``digest`` is of the bytes as written.

    ``names`` must cover exactly the participants of the core view. Raises ``MatrixError``: ``names_differ``,
    ``not_a_core_view``, or a container's fault.
    """
    check_names(names)
    counts = {"lines": 0}
    written, workers = Written(sink), Workers(1)
    try:
        write_text(_texts(numbered_lines(core), names, counts), written, workers, level)
    except bgzf.ContainerError as error:
        raise MatrixError(error.code, str(error)) from error
    finally:
        workers.close()
    return MatrixCounts(
        records_in=counts["lines"],
        records_out=counts["lines"],
        removed={},
        participants=len(names),
        digest=written.digest(),
        bytes=written.size,
    )


def _texts(lines: Iterator[tuple[int, list[str]]], names: Mapping[str, str], counts: dict[str, int]) -> Iterator[bytes]:
    number, head = next(lines, (1, []))
    if head[:1] != [FIRST]:
        raise MatrixError("not_a_core_view", "is not the head of a core view", line=number)
    if len(head) != len(set(head)) or set(head[1:]) != names.keys():
        raise MatrixError("names_differ", "the names are not for exactly the people of this core view", line=number)
    order = sorted(range(1, len(head)), key=lambda at: names[head[at]])
    yield ("\t".join([FIRST, *(names[head[at]] for at in order)]) + "\n").encode()
    for number, cells in lines:
        if len(cells) != len(head):
            raise MatrixError("ragged_line", "has another number of columns than the header", line=number)
        counts["lines"] += 1
        yield ("\t".join([cells[0], *(cells[at] for at in order)]) + "\n").encode()
