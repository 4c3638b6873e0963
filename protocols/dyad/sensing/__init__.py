"""Fair dyads as sensors: a weak local disturbance is told by p_1, and a moved lattice maps its sample."""
