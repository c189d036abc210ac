"""The verifier as one file that a regulator can read and run: ``python -m gateway.verifier.script > verify_ledger.py``.

Definitions are taken over word for word, in reading order, and only those that the check reaches; two of one name, or
a name that would be left without its definition, stop the making. What it says and what this package says is compared
by the tests, case by case.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ORDER = (
    *("errors", "merkle", "note", "rotation", "tiles", "proof", "policy", "audit", "sm2", "further", "side"),
    *("verify", "succession", "__main__"),
)
BLANKS = re.compile(r"\n{4,}")
NEXT = "\n\n"
PACKAGE = re.compile(r"\b(?:merkle|tiles|sm2)\.(?=[A-Za-z_])")
HEAD = '''"""Prove a ledger without the gateway: needs Python 3.11 and the ``cryptography`` package, nothing else.

    python verify_ledger.py DIR [--key VKEY-OR-FILE] [--receipt FILE]... [--since CHECKPOINT] [--policy FILE]
                               [--former DIR]... [--json]

Exit 0: proven. 1: tampered, and the place is named. 2: could not tell. It reads only, asks no network, and never prints
what an entry says. Made from gateway/verifier; do not change it here.

Read in this order: the tree (RFC 6962), the signed note (C2SP), which key may sign what, the files (C2SP tlog-tiles), a
receipt (C2SP tlog-proof), the witnesses (C2SP tlog-cosignature), the audit of every byte, the verdict, the line of
logs of former years. SM2 and SM3 matter only where the house signs a second tree with them.
"""

'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One top-level definition: its text, and the names it speaks of."""

    module: str
    names: tuple[str, ...]
    text: str
    uses: frozenset[str]


def make_script() -> str:
    """The whole script."""
    folder = Path(__file__).parent
    sources = {name: (folder / f"{name}.py").read_text("utf-8") for name in ORDER}
    found = [one for name in ORDER for one in _definitions(name, sources[name])]
    wanted = _reached(found, "main")
    kept = [one for one in found if wanted.intersection(one.names)]
    _refuse_twins(kept)
    parts = [HEAD, "from __future__ import annotations\n\n" + _imports(sources, kept)]
    module = ""
    for one in kept:
        if one.module != module:
            gap, module = NEXT if module else "\n", one.module
            docstring = ast.get_docstring(ast.parse(sources[module])) or ""
            parts.append(f"{gap}# {docstring.partition(chr(10))[0]}\n\n")
        block = one.text.startswith(("def ", "class ", "@"))
        parts.append(f"{NEXT if block else ''}{one.text}\n")
    return BLANKS.sub("\n\n\n", "".join(parts)) + '\n\nif __name__ == "__main__":\n    sys.exit(main())\n'


def _definitions(module: str, source: str) -> list[Definition]:
    lines, found = source.split("\n"), []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names: tuple[str, ...] = (node.name,)
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names, first = tuple(one.id for one in targets if isinstance(one, ast.Name)), node.lineno
        else:
            continue
        text = PACKAGE.sub("", "\n".join(lines[first - 1 : node.end_lineno]))
        uses = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        uses |= {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute) and _is_ours(one.value)}
        found.append(Definition(module=module, names=names, text=text, uses=frozenset(uses)))
    return found


def _is_ours(node: ast.expr) -> bool:
    """Whether ``node.name`` speaks of a module of this package."""
    return isinstance(node, ast.Name) and node.id in {"merkle", "tiles", "sm2"}


def _reached(found: list[Definition], start: str) -> set[str]:
    known = {name: one for one in found for name in one.names}
    reached, waiting = set[str](), [start]
    while waiting:
        name = waiting.pop()
        if name in known and name not in reached:
            reached.add(name)
            waiting += known[name].uses
    return reached


def _refuse_twins(kept: list[Definition]) -> None:
    names = [name for one in kept for name in one.names]
    twins = {name for name in names if names.count(name) > 1}
    if twins:
        raise ValueError(f"two definitions of one name: {', '.join(sorted(twins))}")


def _imports(sources: dict[str, str], kept: list[Definition]) -> str:
    """The imports from outside the package that the kept definitions use, sorted as a reader expects."""
    used = {name for one in kept for name in one.uses} | {"sys"}
    plain, named = set[str](), dict[str, set[str]]()
    for source in sources.values():
        for node in ast.parse(source).body:
            if isinstance(node, ast.Import):
                plain |= {one.name for one in node.names if one.name in used}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module != "__future__":
                wanted = {one.name for one in node.names if one.name in used}
                named.setdefault(node.module or "", set()).update(wanted)
    own = [f"import {name}" for name in sorted(plain)]
    froms = {
        module: f"from {module} import {', '.join(sorted(names, key=lambda name: (not name.isupper(), name)))}"
        for module, names in named.items()
        if names
    }
    others = [line for module, line in sorted(froms.items()) if not module.startswith("cryptography")]
    theirs = [line for module, line in sorted(froms.items()) if module.startswith("cryptography")]
    return "\n".join([*own, *others, "", *theirs]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(make_script())
