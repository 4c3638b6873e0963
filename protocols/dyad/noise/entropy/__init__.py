"""Min-entropy of bits by the ten estimators of NIST SP 800-90B, Section 6.3."""
