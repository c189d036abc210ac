"""Break every query and every default of the facts, one at a time: a case of ``test_evidence`` must notice each."""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway import custody_facts, evidence, filing_facts, flows, party_facts, thing_facts
from tests.gateway.evidence_cases import CASES
from tests.gateway.test_evidence import facts, world
from tests.world import World

__all__ = ["world"]

MODULES = [evidence, filing_facts, party_facts, thing_facts, custody_facts, flows]
NOT_FACTS = {
    "decide_release",
    "rules_against",
    "release_facts",
    "approval_digest",
    "gather",
    "granted_class",
    "_scopes",
}
"""Functions of the module that gather no fact; they have tests of their own (``test_release``, invariants 2 and 15)."""
CHANGES = [lambda _world, _tx: None, *(case[1] for case in CASES)]
LOOKS = [(change, place) for place in ("hong_kong", None) for change in CHANGES]
LOOKS += [(CHANGES[0], "macau"), (CHANGES[0], "mainland")]
"""Every case, from the recipient's own place and from nowhere known; and as it is from other places."""
SAME = {
    # A word that is not one of the vocabulary is unknown, whichever it is.
    *(
        (name, word)
        for name in ("_outcome", "_use", "_cooperation", "_counters", "stated")
        for word in ("'unknown!'", "'!'")
    ),
}
"""(function, what was put there) that nothing can notice."""
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt,
}  # fmt: skip


def mutants(module: ModuleType) -> Iterator[tuple[str, ast.Module]]:
    """Each function of a module with one comparison turned, one constant changed or one connective exchanged."""
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    for number, function in enumerate(tree.body):
        if not isinstance(function, ast.FunctionDef) or function.name in NOT_FACTS:
            continue
        for at in range(len(_places(function))):
            other = copy.deepcopy(function)
            said = _broken(_places(other)[at])
            if said is not None:
                whole = copy.copy(tree)
                whole.body = [*tree.body[:number], other, *tree.body[number + 1 :]]
                yield f"{function.name}, line {function.lineno}: {said}", ast.fix_missing_locations(whole)


def _places(function: ast.FunctionDef) -> list[ast.AST]:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    # What a refusal says is for people, and not a fact.
    spoken = {id(node) for each in ast.walk(function) if isinstance(each, ast.Raise) for node in ast.walk(each)}
    return [node for statement in body for node in ast.walk(statement) if id(node) not in spoken]


def _broken(node: ast.AST) -> str | None:
    """Break a node where it is; what was done, or None where there is nothing to break."""
    if isinstance(node, ast.Compare):
        node.ops = [TURNED[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.BoolOp):
        node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, str | int):
        node.value = f"{node.value}!" if isinstance(node.value, str) else node.value + 1
    else:
        return None
    return ast.unparse(node)


def noticed(world: World, wanted: list[dict[str, Any]]) -> bool:
    """Whether any case sees other facts than before, or no facts at all."""
    for (change, place), known in zip(LOOKS, wanted, strict=True):
        try:
            if facts(world, lambda tx, change=change: change(world, tx), place) != known:  # type: ignore[misc]
                return True
        except (Exception, pytest.fail.Exception):  # noqa: BLE001  a mutant may break in any way; that is noticed too
            return True
    return False


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.split(".")[-1])
def test_every_broken_query_and_default_is_noticed(
    world: World, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [facts(world, lambda tx, change=change: change(world, tx), place) for change, place in LOOKS]  # type: ignore[misc]
    survived, tried = [], 0
    for said, tree in mutants(module):
        tried += 1
        space = dict(vars(module))
        exec(compile(tree, str(module.__file__), "exec"), space)  # noqa: S102  our own source with one thing broken
        with monkeypatch.context() as patched:
            for name in _made_anew(module, space):
                patched.setattr(module, name, space[name])
            _shared(patched, module, space)
            if not noticed(world, wanted) and (said.split(",")[0], said.split(": ")[1]) not in SAME:
                survived.append(said)
    sys.stdout.write(f"\n{module.__name__}: {tried} mutants, {len(survived)} survived\n")
    assert not survived, "\n".join(survived)


def _made_anew(module: ModuleType, space: dict[str, Any]) -> list[str]:
    """What the module defines itself, functions and the tables that hold them; what it imports is the same object."""
    return [name for name, value in vars(module).items() if name[:2] != "__" and space[name] is not value]


def _shared(patched: pytest.MonkeyPatch, module: ModuleType, space: dict[str, Any]) -> None:
    """The entrances by the names under which other modules hold them."""
    if module is evidence:
        patched.setattr("tests.gateway.test_evidence.gather", space["gather"])
    for name in vars(evidence).keys() & vars(module).keys():
        if getattr(vars(evidence)[name], "__module__", "") == module.__name__ and module is not evidence:
            patched.setattr(evidence, name, space[name])
