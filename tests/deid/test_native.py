"""Kernels are there or they are not; nothing in between."""

from __future__ import annotations

import pytest

from deid import native


def test_a_kernel_that_was_not_built_is_said_not_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "__all__", [*native.__all__, "_never", "has_never"])
    assert native.__getattr__("has_never") is False
    with pytest.raises(AttributeError, match="_never: the package was installed without it"):
        native.__getattr__("_never")
    with pytest.raises(AttributeError):
        native.__getattr__("something_else")
    del native.has_never  # type: ignore[attr-defined]
