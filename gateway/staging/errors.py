"""What can go wrong with staged and sealed files. All are ``Unavailable``: nothing is lost, the work is done again.

StagingError                 the folder cannot be used
├── StagingFullError         no room; nothing is left behind
├── StagedFileMissingError   never made, or shredded
├── StagedFileDamagedError   the bytes on the disk are not those that were written
└── AlreadySealedError       a sealed copy is never replaced
"""

from __future__ import annotations

from gateway.errors import Unavailable


class StagingError(Unavailable):
    """The folder cannot be used as it is."""

    code = "staging_unavailable"


class StagingFullError(StagingError):
    """The disk, the quota or the file size limit is reached."""

    code = "staging_full"


class StagedFileMissingError(StagingError):
    """No such file, or its key was shredded."""

    code = "staged_file_missing"


class StagedFileDamagedError(StagingError):
    """What lies there does not open under its key, or is not the file its name says."""

    code = "staged_file_damaged"


class AlreadySealedError(StagingError):
    """A sealed copy of that id is there; shred it first if it was never recorded."""

    code = "already_sealed"
