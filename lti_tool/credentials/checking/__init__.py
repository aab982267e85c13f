"""One file for each question that is asked of a credential, ours or a stranger's; `credentials.verify` asks in order.

A question returns the sentence of a pass. It raises `Refused` where the answer is no, and `Unknown` where it cannot be
told: nothing counts as good because it could not be looked at.
"""
