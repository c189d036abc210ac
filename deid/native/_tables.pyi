from typing import Any

def split(
    rows: Any,
    classes: Any,
    shapes: Any,
    levels: Any,
    costs: Any,
    whole: Any,
    rules: Any,
    limits: Any,
    parts: Any,
    quasi: int,
    k: int,
    /,
) -> int: ...
