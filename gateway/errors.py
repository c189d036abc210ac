"""Every way the gateway itself can fail, in one tree.

Refusals are values (``policies.decide``), never exceptions. What is raised here is a broken promise.

    GatewayError
    ├── BadInput              what the caller gave cannot be used: names the file and the place      exit 2, 4xx
    │   ├── NotFound          no such thing for this caller (also when it belongs to somebody else)  404
    │   └── Conflict          the thing is not in a state that allows this act                       409
    ├── NotSignedIn           no valid session or token                                              401
    ├── NotAllowed            this person may not do this; carries rule ids                          403
    ├── Gone                  an artefact that was killed; names its successor                       410
    ├── Unavailable           try again later: busy database, full disk, clock, ledger               503
    │   └── LedgerUnavailable the ledger did not confirm, so no byte leaves                          503
    │       └── LedgerStopped a sync failed: this process acknowledges nothing more and must end     503
    ├── Rewritten             the server's ledger does not continue what was kept of it              exit 1
    └── Tampered              a row does not equal its ledger leaf; names the row                    503

Messages never carry a name, an identifier of a person's or a genotype. Statuses and exit codes are set at the doors.
"""

from __future__ import annotations

from collections.abc import Sequence


class GatewayError(Exception):
    """The base: ``code`` is stable and documented, ``str()`` is one sentence for a person."""

    code = "gateway_error"


class BadInput(GatewayError):
    """What was given cannot be used; the message names the file or field and what to do."""

    code = "bad_input"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class NotFound(BadInput):
    """The same words whether it does not exist or belongs to somebody else."""

    code = "not_found"

    def __init__(self, kind: str) -> None:
        super().__init__(f"no such {kind}, or it is not yours to see")


class Conflict(BadInput):
    """The thing exists, but its state does not allow this act."""

    code = "conflict"


class NotSignedIn(GatewayError):
    """No session, or one that has ended."""

    code = "not_signed_in"


class NotAllowed(GatewayError):
    """This person may not do this; ``rules`` are catalogue or GW ids, each explained in the policy texts."""

    code = "not_allowed"

    def __init__(self, message: str, *, rules: Sequence[str]) -> None:
        super().__init__(message)
        self.rules = tuple(rules)


class Gone(GatewayError):
    """The artefact was killed (withdrawal, revocation, expiry); ``successor`` is a release id or None."""

    code = "gone"

    def __init__(self, message: str, *, successor: str | None = None) -> None:
        super().__init__(message)
        self.successor = successor


class Unavailable(GatewayError):
    """Nothing is lost; the same request may be made again."""

    code = "unavailable"


class LedgerUnavailable(Unavailable):
    """The ledger did not confirm an entry, so the bytes it describes must not leave."""

    code = "ledger_unavailable"


class LedgerStopped(LedgerUnavailable):
    """A sync of the ledger failed, so nobody knows what the disk holds: end the process and start from the disk."""

    code = "ledger_stopped"


class Rewritten(GatewayError):
    """What the server shows of its ledger and what was kept from it cannot both be true: keep both, and tell."""

    code = "ledger_rewritten"


class Tampered(GatewayError):
    """A fact row does not equal its ledger leaf; ``rows`` are ``table:id`` places."""

    code = "fact_differs_from_ledger"

    def __init__(self, rows: Sequence[str]) -> None:
        super().__init__("rows that decisions rely on differ from the ledger: " + ", ".join(rows))
        self.rows = tuple(rows)
