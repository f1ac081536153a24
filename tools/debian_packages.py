"""See that the Debian packages of a list are there: those of the complete tests, or of the list file that is named.

On Debian as root it installs the missing ones; elsewhere it names them, and what needs them skips.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

LIST = Path(__file__).with_name("debian-packages.txt")


def main() -> int:
    """Install or name what is missing; return the exit status."""
    list_path = Path(sys.argv[1]) if len(sys.argv) > 1 else LIST
    missing = [name for name in wanted(list_path.read_text(encoding="utf-8")) if not is_installed(name)]
    if not missing:
        return 0
    names = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Missing, so what needs them will be skipped: {names} (names of Debian packages).")
        return 0
    print(f"Installing Debian packages: {names}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *missing]):
        if subprocess.run(["apt-get", *arguments], env=environment, check=False).returncode != 0:
            print(f"apt-get {arguments[0]} failed.", file=sys.stderr)
            return 1
    return 0


def wanted(text: str) -> list[str]:
    """Return the names in a list file: one a line, `#` begins a comment."""
    return [name for line in text.splitlines() if (name := line.partition("#")[0].strip())]


def is_installed(name: str) -> bool:
    """Whether dpkg knows the package as installed; without dpkg nothing is."""
    if shutil.which("dpkg-query") is None:
        return False
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", name]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


if __name__ == "__main__":
    sys.exit(main())
