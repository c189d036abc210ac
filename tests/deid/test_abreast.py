"""Two at a time gives what one after the other gives, in the same order, and loses no error."""

from __future__ import annotations

import threading
import time

import pytest

from deid.abreast import WORTH, abreast, each_thread


def slower_first(number: int) -> int:
    time.sleep(0.02 if number % 2 == 0 else 0)
    return number * number


@pytest.mark.parametrize("rows", [0, WORTH])
def test_results_come_in_the_order_asked_for(rows: int) -> None:
    assert list(abreast(slower_first, range(9), rows=rows)) == [n * n for n in range(9)]
    assert list(abreast(slower_first, [], rows=rows)) == []


@pytest.mark.parametrize("rows", [0, WORTH])
def test_what_one_piece_raises_is_raised_in_its_place(rows: int) -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    seen: list[int] = []
    with pytest.raises(ValueError, match="three"):
        seen.extend(abreast(work, range(9), rows=rows))
    assert seen == [0, 1, 2]


def test_much_is_read_on_two_threads_each_with_a_file_of_its_own_and_little_on_one() -> None:
    both = threading.Barrier(2, timeout=5)
    mine = each_thread(object)

    def work(number: int) -> tuple[int, object]:
        if number < 2:
            both.wait()
        return threading.get_ident(), mine()

    found = list(abreast(work, range(6), rows=WORTH))
    assert len({thread for thread, _ in found}) == len({thing for _, thing in found}) == 2
    one = list(abreast(lambda _: (threading.get_ident(), mine()), range(6), rows=WORTH - 1))
    assert len({thread for thread, _ in one}) == len({thing for _, thing in one}) == 1


def test_no_more_than_three_results_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    results = abreast(lambda number: started.append(number) or number, range(100), rows=WORTH)  # type: ignore[func-returns-value]
    assert next(results) == 0
    time.sleep(0.05)
    assert len(started) <= 3
    assert list(results) == list(range(1, 100))
