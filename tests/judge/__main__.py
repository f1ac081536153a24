"""`python -m tests.judge FILE...`: print the verdict on each history.

Exit status 0 if all are valid, 1 if one is invalid, 2 if one is unknown or no history and none is invalid.
"""

import sys
from pathlib import Path

from tests.judge.history import UnreadableHistoryError, read_history
from tests.judge.verdict import Verdict, examine

EXIT_STATUS = {"valid": 0, "invalid": 1, "unknown": 2}


def main(arguments: list[str]) -> int:
    """Print, and return the exit status."""
    if not arguments:
        print("usage: python -m tests.judge FILE...", file=sys.stderr)
        return 2
    words = set()
    for argument in arguments:
        try:
            verdict = examine(read_history(Path(argument)))
        except UnreadableHistoryError as error:
            verdict = Verdict("unknown", str(error))
        words.add(verdict.word)
        print(f"{argument}: {verdict.word}", verdict.explanation, sep="\n" if verdict.explanation else "")
    return next(EXIT_STATUS[word] for word in ("invalid", "unknown", "valid") if word in words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
