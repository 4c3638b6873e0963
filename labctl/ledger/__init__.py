"""The ledger of safety: faults that are brought about on benches that are up, and what comes of each.

Rows register by entry points (`labctl.ledger`), third-party ones the same way as ours; see `labctl.ledger.row`.
"""
