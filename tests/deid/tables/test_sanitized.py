"""The kernels of tables under AddressSanitizer and UndefinedBehaviorSanitizer: no byte is read that is not theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.deid.tables.people import SIZES, hierarchy, make_people, recipe

KERNELS = ("tables", "judging", "measure")
MODELS = (
    "{k-anonymity: {k: 6}}, {l-diversity: {l: 2, column: diagnosis}}, "
    "{l-diversity: {l: 2, column: diagnosis, kind: entropy}}, {t-closeness: {t: 0.5, column: diagnosis}}"
)
COMMAND = """
import importlib.util, os, sys
sys.path[:0] = {path!r}
from deid import native
for name in {kernels!r}:
    file = f"{folder}/_{{name}}.so"
    spec = importlib.util.spec_from_file_location(f"deid.native._{{name}}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    setattr(native, f"_{{name}}", module)
    setattr(native, f"has_{{name}}", True)
from gateway.cli import main
for recipe in {recipes!r}:
    sys.argv = ["tongguan", "deid", "table", "{folder}/people.parquet", f"{folder}/{{recipe}}.parquet",
                "--recipe", f"{folder}/{{recipe}}.yaml", "--report", f"{folder}/{{recipe}}.json"]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
print("clean")
"""


def compiled(folder: Path, repository: Path) -> str:
    """The kernels built with both sanitizers, and the library that has to be loaded before Python."""
    flags = ["-O1", "-g", "-std=c11", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    include = "-I" + sysconfig.get_path("include")
    for name in KERNELS:
        source, made = repository / f"deid/native/{name}.c", folder / f"_{name}.so"
        subprocess.run(["gcc", *flags, include, source, "-o", made], check=True)
    found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler")
def test_the_kernels_of_tables_read_no_byte_that_is_not_theirs(tmp_path: Path, repository: Path) -> None:
    make_people(tmp_path / "people.parquet", 200_000)
    for name in SIZES:
        (tmp_path / f"{name}.csv").write_bytes(hierarchy(name))
    only_k = recipe(6, "local-recoding")
    every = only_k.replace("{k-anonymity: {k: 6}}", MODELS)
    assert every != only_k
    (tmp_path / "k.yaml").write_text(only_k)
    (tmp_path / "every.yaml").write_text(every)
    (tmp_path / "whole.yaml").write_text(only_k.replace("local-recoding", "full-domain, budget-nodes: 40"))
    runtime = compiled(tmp_path, repository)
    recipes = ["k", "every", "whole"]
    script = COMMAND.format(path=sys.path, folder=tmp_path, kernels=KERNELS, recipes=recipes)
    around = {**os.environ, "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([sys.executable, "-c", script], env=around, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("clean"), done.stderr[-4000:]
