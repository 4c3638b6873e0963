"""Kamaletdinov and Berloff, arXiv 2405.17296: what is measured again, beside what they and others found."""

from __future__ import annotations

from labctl.client import Compared, Paper, Reproduction

_SOLVE = Reproduction(
    "domino.solve",
    "Eq. (6), Fig. 1a",
    (
        Compared(
            "solved",
            0.85,
            by="independent",
            within=0.15,
            label="networks of which 100 starts find the proven optimum",
            why="Independent: 30 starts, γ = 0, networks of four densities; here γ = 0.5 and density 0.5. One network "
            "in ten has an optimum that hardly a start ends at.",
        ),
        Compared("success", label="share of starts that find it"),
    ),
    repeats=(20, 10),
    cost_s=(2, 2),
)
_SUCCESS = Reproduction(
    "domino.noise",
    "Fig. 1b",
    (
        Compared(
            "success_still",
            0.22,
            0.04,
            by="independent",
            within=0.05,
            stated_error="success_err[0]",
            label="success of a start, N = 50, γ = 0",
            why="Independent: 40 networks, eight of them of another kind; here 20 of linked cliques.",
        ),
    ),
    given={"gamma": 0.0},
    cost_s=(4, 4),
    name="domino.noise at gamma 0: success",
    note="The paper’s lead over BFGS is larger than what is found with a γ that suits BFGS: an independent comparison "
    "has 0.22 ± 0.04 for DOMINO and 0.14 ± 0.02 for BFGS at γ = 0, 0.24 and 0.18 at γ = 1. `python -m benchmarks "
    "domino` measures the two side by side.",
)
_NOISE = Reproduction(
    "domino.noise",
    "Fig. 8",
    (
        Compared(
            "off_at_0.1",
            0.0025,
            0.0005,
            by="independent",
            within=0.0005,
            stated_error="off_err[2]",
            label="|Δq|/q at η = 0.1",
        ),
        Compared(
            "off_at_0.5",
            0.007,
            0.001,
            by="independent",
            within=0.001,
            stated_error="off_err[4]",
            label="|Δq|/q at η = 0.5",
        ),
    ),
    cost_s=(4, 4),
)
_SCALING = Reproduction(
    "domino.scaling",
    "Fig. 7",
    (
        Compared(
            "exponent",
            0.095,
            0.045,
            by="independent",
            within=0.0,
            label="exponent of the settling time, N = 20 to 320",
            why="Depends on what is called settled: 0.16 with shares within 20 % of the largest and the median over "
            "starts, 0.27 ± 0.07 with 5 % and the mean.",
        ),
        Compared(
            "batched_exponent",
            2.0,
            by="theory",
            label="exponent of an update of all couplings",
            why="Processor time: not judged.",
        ),
    ),
    cost_s=(5, 5),
)
_CLIQUES = Reproduction(
    "domino.cliques",
    "ranking of subnetworks",
    (Compared("certified", 1.0, by="theory", within=0.0, label="the first of the ranking is the proven optimum"),),
    cost_s=(2, 2),
)
_GROUP = Reproduction(
    "domino.group",
    "Fig. 3",
    (),
    quick={"starts": 20, "bfgs_gammas": (), "count": 3, "exact_s": 5.0, "most": 2000},
    cost_s=(40, 5),
    note="The paper finds CBX3, CTCF, JUND, MAZ, RAD21, REST, SMC3, ZNF143 in the network of 386 transcription "
    "regulators; the network here is rebuilt from public data, since the paper’s own is not published.",
)
_XY_SMALL = Reproduction(
    "domino.xy",
    "Eqs. (2), (3)",
    (
        Compared("success", 1.0, by="independent", within=0.05, label="runs at the ground state, N = 8, random ±1"),
        Compared("balance", 0.0, by="derived", within=1e-5, label="Σγ - Nρ - 2E at rest"),
    ),
    given={"nodes": 8},
    repeats=(20, 10),
    cost_s=(0.5, 0.5),
    name="domino.xy of 8",
)
_XY = Reproduction(
    "domino.xy",
    "Eqs. (2), (3)",
    (
        Compared(
            "success",
            0.84,
            by="independent",
            within=0.2,
            label="runs at the ground state, N = 20, random ±1",
            why="Feedback is faster here (ε = 2, not 0.1 to 0.5), which settles more often: 0.90 over 40 networks. "
            "Few networks are measured here, and they differ.",
        ),
        Compared("density_spread", 0.0, by="derived", within=1e-6, label="largest less smallest density"),
        Compared("balance", 0.0, by="derived", within=1e-5, label="Σγ - Nρ - 2E at rest"),
    ),
    repeats=(20, 10),
    cost_s=(1, 1),
)
_CORRELATIONS = Reproduction(
    "domino.correlations",
    "Fig. 4",
    (
        Compared("balance", 0.0, by="derived", within=1e-5, label="Σγ - Nρ - 2E at rest"),
        Compared("success", label="runs at the lowest energy"),
    ),
    repeats=(10, 5),
    cost_s=(0.6, 0.6),
    note="Pairs without a link ranked by their phases, as Fig. 4; on random couplings, as the paper’s network is not "
    "published.",
)
_LATENCY = Reproduction(
    "domino.latency",
    "the loop by light",
    (Compared("success_ideal", label="success by the equations"),),
    quick={"nodes": 6, "latency": (1,), "phase_rad": (0.0, 0.5), "starts": 8, "duration": 2.0},
    cost_s=(240, 35),
    note="The paper has equations of the ideal loop; here light forms the couplings on a simulated table, with "
    "latency and noise of phases.",
)
_COST = Reproduction(
    "domino.cost",
    "Supp. D, time and energy",
    (),
    quick={"nodes": (25, 50), "networks": 2, "starts": 100},
    cost_s=(60, 15),
)

PAPER = Paper(
    "domino",
    "A. Kamaletdinov and N. G. Berloff",
    "Coupling light with matter for identifying dominant subnetworks",
    "arXiv 2405.17296 (2024)",
    (_SOLVE, _SUCCESS, _NOISE, _SCALING, _CLIQUES, _GROUP, _XY_SMALL, _XY, _CORRELATIONS, _LATENCY, _COST),
)
