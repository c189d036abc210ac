"""``python -m gateway.verifier DIR``: exit 0 proven, 1 tampered (the place is named), 2 could not tell or bad use."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .succession import verify_line
from .verify import Verdict

EXIT = {"proven": 0, "tampered": 1, "unknown": 2}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verifier; never prints the content of an entry."""
    options = _parser().parse_args(arguments)
    try:
        receipts = [path.read_bytes() for path in options.receipt]
        since = options.since.read_bytes() if options.since else None
        key = _key(options.key)
        policy = options.policy.read_text(encoding="utf-8") if options.policy else None
    except (OSError, UnicodeDecodeError) as error:
        name = getattr(error, "filename", None) or "the key file"
        verdict = Verdict(state="unknown", place=str(name), detail="cannot be read", key_on_trust=options.key is None)
    else:
        verdict = verify_line([*options.former, options.folder], key=key, receipts=receipts, since=since, policy=policy)
    sys.stdout.write(json.dumps(asdict(verdict)) + "\n" if options.json else _words(verdict))
    return EXIT[verdict.state]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="verifier", description="Prove that a ledger is whole and only appended to.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with checkpoint, tile/ and log.vkey")
    parser.add_argument("--key", metavar="VKEY-OR-FILE", help="the log's public key, or a file that holds it")
    parser.add_argument("--receipt", type=Path, action="append", default=[], metavar="FILE", help="a kept .tlog-proof")
    parser.add_argument("--since", type=Path, metavar="CHECKPOINT", help="a signed checkpoint kept from earlier")
    parser.add_argument(
        "--former", type=Path, action="append", default=[], metavar="DIR", help="a log before it, the oldest first"
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="a tlog-policy: the witnesses that must agree")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _key(given: str | None) -> str | None:
    """A key string has two plus signs; anything else names a file."""
    if given is None or given.count("+") >= 2:
        return given
    return Path(given).read_text(encoding="ascii")


def _words(verdict: Verdict) -> str:
    head = verdict.state.upper()
    if verdict.place is not None:
        # A stray file may carry any name; it must not be able to write on the reader's terminal.
        head += f" at {verdict.place.encode('unicode_escape', 'surrogatepass').decode('ascii')}"
    lines = [f"{head}: {verdict.detail}"]
    if verdict.size is not None:
        lines.append(f"size {verdict.size}, root {verdict.root_b64}")
    if verdict.key_on_trust:
        lines.append("the key came from the log's own folder and is taken on trust")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
