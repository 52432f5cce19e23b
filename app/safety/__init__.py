"""Users as the upstream knows them.

pseudonyms   Pseudonyms: the keyed hashes that are sent instead of names and addresses
"""
