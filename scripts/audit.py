"""`make audit`: asks the database of known vulnerabilities about every package that is installed, by pip-audit.

Where no database is reachable, nothing was audited and this says so; docs/dependencies.md is what is known then.
Exit status: 0 nothing is known, or nothing could be asked; 1 a package is vulnerable; 2 pip-audit itself failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any


def main() -> int:
    """In an environment of its own: what audits is not among what is audited."""
    own = Path(sys.prefix) / "audit"
    python = own / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        venv.create(own, with_pip=True)
    told = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pip-audit"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if told.returncode:
        return not_asked(f"pip-audit cannot be installed: {told.stderr.strip()[-300:]}")
    # --skip-editable: labctl itself is in no database.
    audit = [python, "-m", "pip_audit", "--path", sysconfig.get_path("purelib"), "--skip-editable", "--format", "json"]
    done = subprocess.run(audit, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        if "connect" in done.stderr.lower():
            return not_asked("no database is reachable")
        print(f" ✗ pip-audit failed: {done.stderr.strip()[-600:]}")
        return 2
    return report(packages)


def report(packages: list[dict[str, Any]]) -> int:
    """What pip-audit found, in words. packages: its own ``dependencies``: ``vulns``, or ``skip_reason`` where it could
    not ask."""
    asked = [package for package in packages if "vulns" in package]
    vulnerable = [package for package in asked if package["vulns"]]
    skipped = [package["name"] for package in packages if "vulns" not in package and package["name"] != "labctl"]
    for package in vulnerable:
        for found in package["vulns"]:
            cure = ", ".join(found.get("fix_versions") or []) or "no version yet"
            print(f" ✗ {package['name']} {package['version']}: {found['id']}, mended in {cure}")
    if vulnerable:
        return 1
    if not asked:
        return not_asked(f"the database knows none of {len(skipped)} packages: it is not the one of PyPI")
    if skipped:
        print(f" ! {len(skipped)} of {len(packages)} packages could not be audited: {', '.join(skipped)}")
    print(f" ✓ nothing is known against {len(asked)} packages")
    return 0


def not_asked(why: str) -> int:
    """The list that was made by hand stands in."""
    print(f" ! nothing was audited: {why}. What was known when it was last looked at by hand: docs/dependencies.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
