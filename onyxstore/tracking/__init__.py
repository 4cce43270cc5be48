"""The guide's tracker: one run, recorded in the store and fed to whatever backends are named besides.

Beside integrations, remotes and importers, above the store: it uses what `store` offers and the guide's `configs`, nothing below.
"""
