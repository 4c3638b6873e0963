"""The rows of the ledger, by what fails."""
