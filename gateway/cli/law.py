"""Commands of the law: ask it, compare versions of it, and, by two people, say which version judges.

Asking and comparing need no server: the rules are files. Activating and signing are acts of a person and go to the
gateway that ``tongguan login`` named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.session import gateway
from gateway.cli.show import AsJson, show
from gateway.errors import BadInput
from gateway.machine import SystemClock

policy = typer.Typer(no_args_is_help=True, help="Ask the law, and say which version of it judges.")

Packs = Annotated[list[str] | None, typer.Option("--pack", help="Switch on a pack that is off by default.")]


@policy.command("rules")
def policy_rules(packs: Packs = None, unread: bool = False, as_json: AsJson = False) -> None:
    """Every rule, its law and its days; --unread lists those whose cited text nobody read (production needs a name)."""
    from policies.decide import load_policy

    found = load_policy(frozenset(packs or ()))
    rules = found.unread() if unread else sorted(found.rules.values(), key=lambda rule: rule.rule)
    rows = [
        {
            "rule": r.rule, "effect": r.effect, "title": r.title["en"], "cite": list(r.cite), "pack": r.pack,
            "from": r.since.isoformat(), "to": None if r.until is None else r.until.isoformat(),
            "confidence": r.confidence, "text_read": r.text_read, "digest": r.digest, "actions": sorted(r.actions),
        }
        for r in rules
    ]  # fmt: skip
    lines = [f"{r['rule']:8} {r['effect']:7} {'' if r['text_read'] else 'unread':7} {r['title']}" for r in rows]
    show(rows, lines, as_json=as_json)


@policy.command("explain")
def policy_explain(
    request: Path,
    packs: Packs = None,
    everything: Annotated[bool, typer.Option("--all", help="Also the rules that did not fail, and why.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge a request file: {"at", "action", sections of facts}; exit 0 permit, 1 hold or deny."""
    from policies.decide import load_policy
    from policies.diff import read_request
    from policies.explain import explain

    with _readable(request) as body:
        action, facts, at = read_request(body, SystemClock().now())
        answer = explain(load_policy(frozenset(packs or ())), action, facts, at, everything=everything)
    show(answer, _reasons(answer), as_json=as_json)
    raise typer.Exit(0 if answer["decision"] == "permit" else 1)


@policy.command("what-if")
def policy_what_if(
    request: Path,
    change: Annotated[list[str], typer.Option("--set", help="section.field=value, as often as needed.")],
    packs: Packs = None,
    as_json: AsJson = False,
) -> None:
    """Judge a request file again with some facts changed; exit 0 when the changed facts permit, else 1."""
    from policies.decide import load_policy
    from policies.diff import what_if

    with _readable(request) as body:
        changes = dict(text.split("=", 1) for text in change)
        found = load_policy(frozenset(packs or ()))
        before, after = (d.to_json() for d in what_if(found, body, changes, SystemClock().now()))
    lines = ["as asked: ", *_reasons(before), "with the changes: ", *_reasons(after)]
    show({"before": before, "after": after, "changes": changes}, lines, as_json=as_json)
    raise typer.Exit(0 if after["decision"] == "permit" else 1)


@policy.command("diff")
def policy_diff(
    old: Path,
    new: Path,
    facts: Annotated[list[Path] | None, typer.Option("--facts", help="Request files to ask of both.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two policy folders: rules, values, and which requests gain or lose; exit 0 same, 1 different."""
    from dataclasses import asdict

    from policies.diff import compare, outcomes, read_policy

    with _readable(old, *(facts or ()), parse=False):
        changes = [asdict(change) for change in compare(old, new)]
        documents = {str(path): json.loads(path.read_text("utf-8")) for path in facts or ()}
        policies = (read_policy(old), read_policy(new))
        turns = [asdict(found) for found in outcomes(*policies, documents, SystemClock().now())]
    lines = [f"{c['kind']:6} {c['name']}: {_state(c['old'])} -> {_state(c['new'])}" for c in changes]
    lines += [f"{t['name']}: {t['old']} -> {t['new']} ({t['turn']})" for t in turns]
    show({"changes": changes, "outcomes": turns}, lines or ["the same"], as_json=as_json)
    raise typer.Exit(1 if changes else 0)


@contextmanager
def _readable(*files: Path, parse: bool = True) -> Iterator[Any]:
    """The first file's JSON; whatever is wrong with a file is said with its name."""
    names = ", ".join(map(str, files))
    try:
        yield json.loads(files[0].read_text("utf-8")) if parse else None
    except OSError as error:
        raise BadInput(f"{error.filename or names}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{names}: {error}") from None


def _reasons(answer: dict[str, Any]) -> list[str]:
    lines = [answer["decision"], *(f"  {r['rule']} {r['title']['en']}: {r['remedy']['en']}" for r in answer["reasons"])]
    return [*lines, *(f"  ({other['rule']} {other['why']})" for other in answer.get("others", ()))]


def _state(found: Any) -> str:
    if found is None:
        return "none"
    return str(found) if not isinstance(found, dict) else f"{found['effect']} {found['digest']}"


@policy.command("status")
def policy_status(as_json: AsJson = False) -> None:
    """Which rules judge at the gateway, who activated them, and which unread ones lack a name."""
    found = gateway().get("/policy")
    packs = ", ".join(found["packs"]) or "no optional pack"
    lines = [f"version {found['policy_version']}, {packs}: {'activated' if found['activated'] else 'NOT activated'}"]
    lines += [f"unread, nobody answers for it: {', '.join(found['unsigned'])}"] if found["unsigned"] else []
    lines += [f"proposed: {row['id']} version {row['policy_version']}" for row in found["proposed"]]
    show(found, lines, as_json=as_json)


@policy.command("activate")
def policy_activate(packs: Packs = None, as_json: AsJson = False) -> None:
    """Propose that the installed rules judge, and see which live grants would gain or lose."""
    row = gateway().post("/policy/activations", {"packs": packs or []})
    changes = gateway().get(f"/policy/activations/{row['id']}/changes")
    lines = [f"grant {c['grant']} view {c['view']}: {c['old']} -> {c['new']} ({c['turn']})" for c in changes]
    lines += [f"a second person confirms: tongguan policy confirm {row['id']}"]
    show({**row, "changes": changes}, lines, as_json=as_json)


@policy.command("confirm")
def policy_confirm(activation_id: str, as_json: AsJson = False) -> None:
    """Confirm a proposed activation as a second person; from the next decision on these rules judge."""
    row = gateway().post(f"/policy/activations/{activation_id}/confirmation")
    show(row, [f"version {row['policy_version']} judges"], as_json=as_json)


@policy.command("sign-off")
def policy_sign_off(
    rule: str,
    reason: Annotated[str, typer.Option(help="What it rests on: who read which text, when.")],
    packs: Packs = None,
    as_json: AsJson = False,
) -> None:
    """Answer by name for a rule whose cited text nobody read, in exactly its present wording."""
    made = gateway().post("/policy/sign-offs", {"rule": rule, "reason": reason, "packs": packs or []})
    show(made, [f"signed for {rule}"], as_json=as_json)
