"""What every backend of a kind must do, as checks of an open device: numbers, timing and errors, not signatures.

A check is a function of a `Rig`; it returns if the device keeps its promise and raises `Broken` if not. Whoever runs
the checks builds the rig: which backend the device is on, and whether it is behind a bus, they cannot tell.
"""
