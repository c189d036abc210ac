"""Witnesses (C2SP tlog-witness, tlog-cosignature): the small service that cosigns, and the log's side that asks.

A witness keeps one checkpoint for each log, the newest it cosigned, and cosigns only what provably extends it. So a
reader who demands k of n independent cosignatures cannot be shown a fork or a rollback unless witnesses collude.
``service`` is the witness, ``asking`` the log's side; what is signed and whose word counts is ``verifier.policy``.
"""

from .asking import Cosigning, Post, Reply
from .request import CosignRequest, format_request, parse_request
from .service import Answer, Witness

__all__ = ["Answer", "CosignRequest", "Cosigning", "Post", "Reply", "Witness", "format_request", "parse_request"]
