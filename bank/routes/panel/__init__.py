"""The panel: pages for people, rendered by the node, readable without JavaScript. `frame` is what all pages share.

No ledger logic stands here: forms build the operations that the JSON routes build, and `settle` them the same way.
Scripts only refresh what a page shows already; nothing comes from another host.
"""
