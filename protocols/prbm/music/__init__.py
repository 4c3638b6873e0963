"""Music: an RNN-RBM trained on tunes and played by light."""
