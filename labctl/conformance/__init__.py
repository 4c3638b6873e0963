"""Does a driver keep the contract's promises? Suites found by entry points, on benches of their own."""
