"""The HTTP edge: Portuguese outside, English inside. Flask is imported here and in api.py only.

`door` reads requests, `models` says what they may hold, `answers` and `problems` write what comes back; then one
file for each family of routes. `server` puts waitress in front.
"""
