"""A verifier that is not ours: Go's golang.org/x/mod note and tlog packages read the log we write.

Runs where a Go toolchain is on the machine and its module proxy answers; ``docs/ledger.md`` says how to do it by hand.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Log = Any  # tests/gateway/verifier/conftest.py: SignedLog

PROGRAM = r"""
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error) {
	if err != nil {
		fmt.Println("REFUSED", err)
		os.Exit(1)
	}
}

func number(n int64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	return s
}

func name(level string, n int64, width int) string {
	p := "tile/" + level + "/" + number(n)
	if width < 256 {
		p += fmt.Sprintf(".p/%d", width)
	}
	return p
}

type folder string

func (f folder) Height() int { return 8 }
func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(filepath.Join(string(f), name(strconv.Itoa(t.L), t.N, t.W)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}
func (f folder) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

func main() {
	dir := os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	check(err)
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	check(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() {
		check(fmt.Errorf("origin"))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	raw, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	var root tlog.Hash
	copy(root[:], raw)
	tree := tlog.Tree{N: size, Hash: root}
	hashes := tlog.TileHashReader(tree, folder(dir))
	for first := int64(0); first < size; first += 256 {
		width := int(min(256, size-first))
		data, err := os.ReadFile(filepath.Join(dir, name("entries", first/256, width)))
		check(err)
		for n := first; n < first+int64(width); n++ {
			length := int(binary.BigEndian.Uint16(data))
			entry := data[2 : 2+length]
			data = data[2+length:]
			proof, err := tlog.ProveRecord(size, n, hashes)
			check(err)
			check(tlog.CheckRecord(proof, size, root, n, tlog.RecordHash(entry)))
		}
	}
	if len(os.Args) > 3 {
		old, err := os.ReadFile(os.Args[3])
		check(err)
		before, err := note.Open(old, note.VerifierList(verifier))
		check(err)
		was := strings.Split(before.Text, "\n")
		oldSize, err := strconv.ParseInt(was[1], 10, 64)
		check(err)
		rawOld, err := base64.StdEncoding.DecodeString(was[2])
		check(err)
		var oldRoot tlog.Hash
		copy(oldRoot[:], rawOld)
		proof, err := tlog.ProveTree(size, oldSize, hashes)
		check(err)
		check(tlog.CheckTree(proof, size, root, oldSize, oldRoot))
	}
	fmt.Println("ACCEPTED", size)
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain on this machine")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(PROGRAM)
    (folder / "go.mod").write_text("module check\n\ngo 1.21\n\nrequire golang.org/x/mod v0.20.0\n")
    for arguments in (["mod", "tidy"], ["build", "-o", "check", "."]):
        done = subprocess.run([go, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        if arguments[0] == "mod" and done.returncode:
            pytest.skip("Go's module proxy did not answer")
        assert done.returncode == 0, done.stderr
    return folder / "check"


def ask(program: Path, *arguments: object) -> str:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
    return done.stdout.split()[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_go_accepts_our_log_and_refuses_a_changed_one(
    program: Path, log: Log, entries: Callable[..., list[bytes]], tmp_path: Path
) -> None:
    since = shutil.copy(log.folder / "checkpoint", tmp_path / "since")
    assert ask(program, log.folder, log.vkey) == "ACCEPTED"
    log.grow(entries(1_000))
    assert ask(program, log.folder, log.vkey, since) == "ACCEPTED"
    for path in log.files():
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[len(whole) // 2] ^= 1
        path.write_bytes(changed)
        name = path.relative_to(log.folder).as_posix()
        superseded = name.startswith(("tile/0/002.p", "tile/entries/002.p", "tile/1/000.p/2"))
        expected = "ACCEPTED" if superseded or name == "log.vkey" else "REFUSED"  # it reads neither of these
        assert ask(program, log.folder, log.vkey) == expected, name
        path.write_bytes(whole)
    log.rewrite([*entries(599), b"{}", *entries(1_000)])
    assert ask(program, log.folder, log.vkey) == "ACCEPTED"
    assert ask(program, log.folder, log.vkey, since) == "REFUSED"
