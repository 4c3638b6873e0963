"""Formats in which runs travel, one module each; third parties register their own under ``labctl.exporters``."""
