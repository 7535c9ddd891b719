"""`Refusal`: what is asked and cannot be done, in a sentence that anybody may read; clients are told no other error.

Any other error, a library's ValueError too, is a fault: its text may name files or tell of what is inside, and goes to
the log alone.
"""


class Refusal(ValueError):
    """What was asked cannot be done; the message is one sentence that says what to do."""
