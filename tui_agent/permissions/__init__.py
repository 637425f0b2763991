"""Who may do what: modes, grants, decisions.

A decision is bound to the hash of one exact call; a grant says for how long others like it hold.
"""
