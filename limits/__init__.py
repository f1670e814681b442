"""How much a call may be: the size of its body, and its time."""
