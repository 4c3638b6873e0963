"""What fair dyads give: random bits, how random they are, and images of Gaussian noise."""
