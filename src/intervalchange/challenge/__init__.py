"""A challenge that cannot leak: its test cohort does not exist until the entries are closed.

`commitment` says what is committed to and checks it; `steps` are the three steps: new, enter, reveal.
"""
