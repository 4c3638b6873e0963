"""`labctl conformance`: does a driver keep the contract's promises?"""

from __future__ import annotations

import json
from dataclasses import asdict


def check_driver(driver: str, mutation: str | None, as_json: bool) -> int:
    """Run the suite and print what was found. 0 if everything passed, 1 if not."""
    from labctl.conformance import Result, run

    results = run(driver, mutation)
    broken = [result for result in results if result.broken]
    if as_json:
        print(json.dumps([asdict(result) for result in results]))  # noqa: T201
        return 1 if broken else 0
    columns: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        columns.setdefault((result.backend, result.layout), []).append(result)
    for (backend, layout), found in columns.items():
        passed = sum(not result.broken for result in found)
        taken_s = sum(result.seconds for result in found)
        print(f"{driver}, {backend}, {layout}: {passed} of {len(found)} checks passed, {taken_s:.1f} s")  # noqa: T201
    for result in broken:
        print(f"  {result.backend}, {result.layout}, {result.check}: {result.broken.splitlines()[0]}")  # noqa: T201
    return 1 if broken else 0
