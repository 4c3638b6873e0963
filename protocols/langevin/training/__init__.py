"""Couplings that reverse noising: what training is told of it, and the fit."""
