"""Bytes on their way out: the epoch that every chunk is held against, and HTTP ranges."""
