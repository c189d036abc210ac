from typing import Any

def judge(
    base: Any,
    weights: Any,
    held: Any,
    at: Any,
    codes: Any,
    costs: Any,
    values: Any,
    whole: Any,
    rules: Any,
    k: int,
    limit: int,
    moved: float,
    /,
) -> tuple[int, float, int, int, bytes, bytes]: ...
