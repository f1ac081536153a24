"""The command line: `banco`, or `python -m bank.cli`. What a counter does, and what whoever runs the bank wants to see.

Asks the bank over HTTP through `bank.client` like any other customer, at whichever of the named nodes answers. Amounts
are read and shown as text, digit by digit. With `--json` standard output holds one JSON value and nothing else.

Exit status: 0 done; 1 nodes differ (`conferir`); 2 wrong usage; 3 refused by the bank; 4 nothing was applied;
5 the outcome is unknown, and the key that settles it is told; 6 no node answers, or one could not be compared.
"""
