"""Names for the inputs that a library opens by name: links to the child's own descriptors, in a folder of no data.

htslib opens a reference and the index beside it by their names and takes no descriptor. An input whose name has a
dot (``reference.fa``) is such a one: the folder holds ``reference.fa -> /proc/self/fd/N``, which is the child's
descriptor to the child and nothing to anybody else.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


class Names:
    """The folder of one run, made when the first name is asked for."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def links(self, inputs: Mapping[str, tuple[int, str]]) -> dict[str, str]:
        """Input name to path, for the inputs with a dot in their name. Raises ValueError where one is no plain file."""
        named = {name: fd for name, (fd, kind) in inputs.items() if "." in name and kind == "file"}
        if any("." in name and name not in named for name in inputs):
            raise ValueError("an input that is opened by its name must be an open, plain file")
        if not named:
            return {}
        self._folder = Path(tempfile.mkdtemp(prefix="tongguan-names-"))
        for name, fd in named.items():
            (self._folder / name).symlink_to(f"/proc/self/fd/{fd}")
        return {name: str(self._folder / name) for name in named}

    def close(self) -> None:
        """Remove the folder; may be called again."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
