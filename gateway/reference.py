"""The reference sequence of a dataset: one of its registered files, read through its store and never fetched.

The children that decode CRAM or substitute reads need it as a file they can seek in. They get the descriptor of
exactly the bytes that were hashed, before and after: a reference that is not the registered one, or that changes
meanwhile, ends the work. The index is made from those bytes in a child and lies in memory only; one that lies beside
it is not believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from gateway.env import Env
from gateway.hashing import HashingReader, prove_registered
from gateway.ports import Row

KIND = "reference"
FASTA, INDEX = "reference.fa", "reference.fa.fai"
REMEDY = "add the FASTA the reads were aligned to under the manifest's files, kind: reference, and register it again"


@contextmanager
def opened_reference(env: Env, root: str, reference: Row | None) -> Iterator[Mapping[str, BinaryIO]]:
    """The inputs by which a child finds the reference; none where the dataset has none.

    Raises BadInput: ``source_changed``, ``reference_not_a_file`` and what its index says (``bad_reference``).
    """
    if reference is None:
        yield {}
        return
    with env.objects(root).open(reference["path"]) as file:
        _prove(file, reference)
        try:
            index = env.sandbox("deid.index_reference", {}, inputs={"reference": file}, outputs={})["fai"]
            with _in_memory(index.encode("ascii")) as indexed:
                yield {FASTA: file, INDEX: indexed}
        finally:
            _prove(file, reference)


def _prove(file: BinaryIO, reference: Row) -> None:
    file.seek(0)
    prove_registered(HashingReader(file), reference["path"], reference["checksum"])
    file.seek(0)


@contextmanager
def _in_memory(data: bytes) -> Iterator[BinaryIO]:
    with os.fdopen(os.memfd_create("index"), "w+b") as made:
        made.write(data)
        made.flush()
        with os.fdopen(os.open(f"/proc/self/fd/{made.fileno()}", os.O_RDONLY | os.O_CLOEXEC), "rb") as read:
            yield read
