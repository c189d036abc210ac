"""What the story raises when something it tells is not so."""

from __future__ import annotations


class StoryError(AssertionError):
    """A step of the demo did not hold."""
