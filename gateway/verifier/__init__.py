"""Prove a ledger without the gateway: the standard library and ``cryptography``, nothing else.

Formats: RFC 6962 section 2.1 (hashing), C2SP signed-note, tlog-checkpoint, tlog-tiles and tlog-proof.
"""
