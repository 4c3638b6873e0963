"""Parts that tables share: panel, sensor, their parameters and hidden truths. No world is imported here."""
