"""``python -m gateway.verifier DIR``: exit 0 proven, 1 tampered, 2 could not tell."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from gateway.verifier.verify import Verdict, verify_log

EXITS = {"proven": 0, "tampered": 1, "unknown": 2}


def main(arguments: list[str] | None = None) -> int:
    """Parse, verify, print; the exit code."""
    parser = argparse.ArgumentParser(prog="gateway.verifier", description="Prove a Tongguan ledger without Tongguan.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--key", help="the log's vkey, or a file that holds it")
    parser.add_argument("--receipt", type=Path, action="append", default=[], help="a kept .tlog-proof file")
    parser.add_argument("--since", type=Path, help="a checkpoint kept from an earlier day")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    try:
        receipts = [path.read_bytes() for path in chosen.receipt]
        since = None if chosen.since is None else chosen.since.read_bytes()
    except OSError as error:
        verdict = Verdict(state="unknown", place=str(error.filename), detail=error.strerror or "cannot be read")
    else:
        verdict = verify_log(chosen.folder, key=chosen.key, receipts=receipts, since=since)
    sys.stdout.write((json.dumps(asdict(verdict)) if chosen.json else _sentence(verdict)) + "\n")
    return EXITS[verdict.state]


def _sentence(verdict: Verdict) -> str:
    trust = " The key itself was taken from the folder, on trust." if verdict.key_on_trust else ""
    if verdict.state == "proven":
        return f"proven: {verdict.detail}, root {verdict.root}.{trust}"
    word = "tampered" if verdict.state == "tampered" else "could not tell"
    return f"{word}: {verdict.place}: {verdict.detail}.{trust}"


if __name__ == "__main__":
    raise SystemExit(main())
