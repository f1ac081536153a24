"""Tokens: whom the bank knows, and what they may do. One file for each node, changed by `python -m bank.tokens`.

Who asks shows a bearer token, `banco_<id>_<secret>`. The file holds only a hash of the secret: who reads it can ask
nothing. What a role may do at which route says `bank/routes/access.py`.
"""
