"""The reference sequence, from a FASTA file of this house with its .fai beside it; never fetched from anywhere.

htslib would follow @SQ UR and REF_PATH to files and addresses when a contig is missing from the FASTA. So every contig
of the header must stand in the FASTA with its length before htslib decodes a read; and the sandbox gives its children a
REF_PATH that leads nowhere and no network. Not here: that environment.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from deid.reads.errors import ReadsError
from deid.reads.header import Contig

WINDOW = 1 << 20
KEPT = 4


class Reference:
    """A FASTA file with its index. Raises ``ReadsError`` (``no_reference``) where either is not there.

    ``proves_sums``: where a header says a contig's MD5, another sequence of that name and length is refused. Off for
    excerpts, whose headers still say the sum of the whole.
    """

    def __init__(self, path: Path, *, proves_sums: bool = False) -> None:
        if "://" in str(path) or not path.is_file():
            raise ReadsError("no_reference", "the reference is not a file of this machine")
        if not Path(f"{path}.fai").is_file():
            raise ReadsError("no_reference", "the reference has no index beside it; make one with samtools faidx")
        import pysam  # a quarter of a second to load: only where there is a reference

        self.path = path
        self._file = pysam.FastaFile(str(path))
        self._lengths = dict(zip(self._file.references, self._file.lengths, strict=True))
        self._windows: dict[tuple[str, int], bytes] = {}
        self._lock = threading.Lock()
        self._proves_sums = proves_sums
        self._unproven: Mapping[str, bytes] = {}

    def must_have(self, contigs: Sequence[Contig]) -> None:
        """Raise ``ReadsError`` (``reference_missing``) unless every contig is here with its length.

        ``bases`` proves a sum when its contig is first read (``reference_differs``): another build may have the same
        lengths.
        """
        if self._proves_sums:
            self._unproven = {contig.name.decode("ascii"): contig.md5 for contig in contigs if contig.md5}
        for number, contig in enumerate(contigs, start=1):
            if self._lengths.get(contig.name.decode("ascii")) != contig.length:
                raise ReadsError("reference_missing", f"contig {number} of the header is not in the reference supplied")

    def bases(self, contig: bytes, start: int, end: int) -> bytes:
        """Upper-case bases of [start, end), read by windows."""
        name, out = contig.decode("ascii"), []
        while start < end:
            index = start // WINDOW
            stop = min(end, (index + 1) * WINDOW)
            out.append(self._window(name, index)[start - index * WINDOW : stop - index * WINDOW])
            start = stop
        return b"".join(out)

    def _window(self, name: str, index: int) -> bytes:
        with self._lock:
            self._prove(name)
            if (name, index) not in self._windows:
                if len(self._windows) == KEPT:
                    del self._windows[next(iter(self._windows))]
                found = self._file.fetch(name, index * WINDOW, (index + 1) * WINDOW)
                self._windows[name, index] = found.upper().encode("ascii")
            return self._windows[name, index]

    def _prove(self, name: str) -> None:
        if name not in self._unproven:
            return
        digest = hashlib.md5(usedforsecurity=False)  # SAM specification section 1.3.2 says MD5
        for start in range(0, self._lengths[name], WINDOW):
            digest.update(self._file.fetch(name, start, start + WINDOW).upper().encode("ascii"))
        if digest.hexdigest().encode() != self._unproven[name]:
            raise ReadsError("reference_differs", "the reference supplied is not the one the reads were aligned to")
        self._unproven = {known: md5 for known, md5 in self._unproven.items() if known != name}

    def with_sums(self, contigs: Sequence[Contig]) -> tuple[Contig, ...]:
        """The contigs with the MD5 of this reference: without one htslib would write where the FASTA lies (@SQ UR)."""
        return tuple(Contig(name=c.name, length=c.length, md5=self._md5(c)) for c in contigs)

    def _md5(self, contig: Contig) -> bytes:
        digest = hashlib.md5(usedforsecurity=False)  # SAM specification section 1.3.2 says MD5
        for start in range(0, contig.length, WINDOW):
            digest.update(self.bases(contig.name, start, min(contig.length, start + WINDOW)))
        return digest.hexdigest().encode()
