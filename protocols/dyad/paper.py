"""Johnston and Berloff, PRL 132, 096901: what is measured again, beside what they and others found."""

from __future__ import annotations

from labctl.client import Compared, Paper, Reproduction

_AMPLITUDE = (
    "The paper does not give the initial noise; it sets the width of the curve, and is 0.01 here and in the "
    "independent computation."
)
_TIME = "Dyads have a time of 30 here; where they have 10, those next to balance have not decided, and it is 17.5."
_CURVE = "The points lie on a curve, so that the slope depends on which of them are taken."
_NO_NUMBER = "The paper prints no number for it; bounds are what the figure promises."

_SMALL = {"alignment.dyad.rows": 4, "alignment.dyad.columns": 4}
"""A lattice of 16 dyads for a quick report, instead of 100; the figures promise nothing of it."""

_STATE = Reproduction(
    "dyad.steady-state",
    "Eq. (1), states of Fig. 1",
    (
        Compared("a", 1.6476108, by="independent", within=1e-6, label="amplitude a of the denser condensate"),
        Compared("b", 1.3533556, by="independent", within=1e-6, label="amplitude b"),
        Compared("theta", 0.6815359, by="independent", within=1e-6, label="phase difference", unit="rad"),
        Compared("mu", 2.8588579, by="independent", within=1e-6, label="chemical potential"),
        Compared("xi_c", 2.2517378, by="derived", within=1e-6, label="upper bound ξ_c, by its closed form"),
        Compared(
            "xi_lower",
            0.881,
            by="independent",
            within=0.003,
            label="lower bound of ξ",
            why="Here a pair of eigenvalues crosses; the independent one is by integration in time, which oscillates "
            "for long next to it.",
        ),
    ),
    repeats=(2, 2),
    cost_s=(1, 1),
)
_DIAGRAM = Reproduction(
    "dyad.phase-diagram",
    "Fig. 1a",
    (
        Compared(
            "deviation",
            0.0,
            by="derived",
            within=1e-2,
            label="largest relative deviation of ξ_c from its closed form",
            why="The paper shows surfaces of 12,500 points for each of three γ; the closed form is derived from Eq. "
            "(1).",
        ),
        Compared("bounded", label="points with an upper bound"),
    ),
    quick={"g": "0.05,0.25,0.5,0.75,1", "J": "0.05,0.2,0.35,0.5,0.65,0.8,0.95"},
    cost_s=(18, 1),
)
_OCCUPATION = Reproduction(
    "dyad.equal-occupation",
    "Fig. 1b, Eq. (5)",
    (
        Compared("r_gamma_at_0.8", 1.047389, by="independent", within=1e-6, label="r_γ at r_g = 0.8"),
        Compared("r_gamma_at_1.1", 0.974375, by="independent", within=1e-6, label="r_γ at r_g = 1.1"),
        Compared("slope_numeric", -0.25078, by="derived", within=1e-5, label="slope at r_g = 1, beside Eq. (5)"),
    ),
    given={"r_g": (0.8, 1.1)},
    repeats=(2, 2),
    cost_s=(1, 1),
)
_ORIENTATION = Reproduction(
    "dyad.orientation",
    "Fig. 1c, d",
    (
        Compared("dp1_dr_g", 19.9, by="independent", within=1.5, label="dp₁/dr_g at 1", why=f"{_AMPLITUDE} {_TIME}"),
        Compared(
            "p1_even", 0.5, by="theory", within=0.035, label="p₁ of equal sites", why="Equal sites are fair coins."
        ),
    ),
    cost_s=(3, 3),
)
_LOUD = Reproduction(
    "dyad.orientation",
    "Fig. 1c, d",
    (Compared("dp1_dr_g", 7.6, by="independent", within=0.5, label="dp₁/dr_g at 1, initial noise 0.1", why=_TIME),),
    given={"amp": 0.1},
    cost_s=(3, 3),
    name="dyad.orientation: initial noise 0.1",
)
_QUIET = Reproduction(
    "dyad.orientation",
    "Fig. 1c, d",
    (
        Compared(
            "dp1_dr_g",
            61.0,
            by="independent",
            label="dp₁/dr_g at 1, initial noise 0.001",
            why="Not judged: over which width the independent slope is taken is not known. Between r_g = 0.995 and "
            "1.005 it is 61 here as well, and steeper next to 1.",
        ),
    ),
    given={"amp": 0.001},
    cost_s=(3, 3),
    name="dyad.orientation: initial noise 0.001",
)
_CRITICAL = Reproduction(
    "dyad.critical-points",
    "Fig. 1d, inset",
    (
        Compared("r_g_at_0.94", 1.1327, 0.0006, by="independent", within=0.0006, label="r_g* at r_γ = 0.94"),
        Compared("r_g_at_0.98", 1.0442, 0.0006, by="independent", within=0.0006, label="r_g* at r_γ = 0.98"),
        Compared("r_g_at_1.02", 0.9551, 0.0006, by="independent", within=0.0006, label="r_g* at r_γ = 1.02"),
        Compared(
            "slope", -0.448, by="paper", within=0.0005, quick=0.002, label="slope of r_γ* against r_g*", why=_CURVE
        ),
        Compared(
            "slope", -0.4475, 0.0004, by="independent", within=0.0, quick=0.002, label="the same, same four ratios"
        ),
    ),
    quick={"trials": 10_000},
    cost_s=(8, 3),
)
_BELOW = Reproduction(
    "dyad.critical-points",
    "Fig. 1d, inset",
    (
        Compared(
            "slope",
            -0.4506,
            by="independent",
            within=0.0008,
            quick=0.003,
            label="slope, r_γ = 0.90 to 1.00",
            why=_CURVE,
        ),
        Compared(
            "slope",
            -0.448,
            by="paper",
            label="slope the paper prints",
            why="Not judged: which ratios its line goes through is not said; these six, those of its curves, give "
            "another.",
        ),
    ),
    given={"r_gamma": (0.9, 0.92, 0.94, 0.96, 0.98, 1.0)},
    quick={"trials": 10_000},
    cost_s=(12, 4),
    name="dyad.critical-points of six curves",
)
_INTENSITY = Reproduction(
    "dyad.integrated-intensity",
    "integrated intensity, Supplement",
    (
        Compared("mean", 2.002658, by="derived", within=1e-6, label="mean of n = 1000 condensations"),
        Compared(
            "std",
            0.0139675,
            by="derived",
            within=1e-7,
            label="standard deviation",
            why="The variance in the paper’s text is garbled; this one is derived, and checked by simulation.",
        ),
        Compared("skewness", 0.1161, by="derived", within=1e-4, label="skewness"),
    ),
    quick={"trials": 1_000_000},
    cost_s=(4, 1),
)
_CHAIN = Reproduction(
    "dyad.chain",
    "coupled dyads",
    (
        Compared("nearest[2]", label="correlation of neighbours at the third coupling"),
        Compared("bias[0]", label="bias of the first dyad at coupling -0.1"),
    ),
    quick={"trials": 2000},
    cost_s=(25, 8),
    note="The paper says that coupled dyads have statistics that are not uniform, and prints no number. " + _NO_NUMBER,
)
_CALIBRATE = Reproduction(
    "dyad.calibrate",
    "pump ratios that make p₁ = ½, on a table",
    (
        Compared(
            "ratio",
            label="condensations, search against the paper’s sweep and splines",
            why="The paper’s way, a sweep of ratios and cubic splines, is measured beside a Bayesian search to the "
            "same precision.",
        ),
        Compared("within", label="share of 100 dyads with p₁ = 0.5 ± 0.03"),
    ),
    quick={**_SMALL, "precision": 0.04, "settle": 1000, "verify": 2000, "most": 4000, "points": 8},
    cost_s=(700, 114),
    note="The table is a simulated one with drift, defects and an imperfect hologram; the paper has equations only.",
)
_BITS = Reproduction(
    "dyad.bits",
    "random numbers",
    (
        Compared("failed", label="tests of SP 800-22 failed after calibration"),
        Compared("failed_before", label="tests failed before it"),
        Compared("min_entropy", label="least lower bound of min-entropy (SP 800-90B)", unit="bit"),
    ),
    given={"debias_before": False},
    quick={**_SMALL, "bits": 40_000, "battery": False, "precision": 0.03, "most": 4000},
    cost_s=(300, 60),
    note="Proposed by the paper without numbers. Quick: too few bits for the battery, which takes a million.",
)
_NOISE = Reproduction(
    "dyad.noise",
    "normally distributed noise",
    (
        Compared("std_ratio", label="standard deviation, against what single condensations say"),
        Compared("failed", label="tests of white Gaussian noise failed"),
    ),
    quick={**_SMALL, "images": 60},
    cost_s=(120, 48),
    note=_NO_NUMBER,
)
_DIFFUSE = Reproduction(
    "dyad.diffuse",
    "Fig. 2",
    (
        Compared("variance_worst", label="worst step’s variance, off its schedule", unit="standard errors"),
        Compared("signal_worst", label="worst step’s factor of the image, off it", unit="standard errors"),
    ),
    quick={**_SMALL, "images": 20, "steps": 3, "models": 0, "noise_frames": 100, "precision": 0.03, "most": 2000},
    cost_s=(400, 70),
    note="Fig. 2 is a scheme of what is measured here on a simulated table. " + _NO_NUMBER,
)
_SENSE = Reproduction(
    "dyad.sense",
    "sensing",
    (
        Compared("scale", label="detections against those predicted"),
        Compared("dg_per_w", label="change of g by the probe", unit="1/W"),
    ),
    quick={
        **_SMALL,
        "repeats": 6,
        "trials": (50, 100),
        "probe_w": (0.004, 0.016),
        "slope_trials": 500,
        "reference": 800,
        "most": 2000,
    },
    cost_s=(400, 70),
    note="The paper proposes dyads as sensors and prints no number. " + _NO_NUMBER,
)
_COST = Reproduction(
    "dyad.cost",
    "time of noise images",
    (),
    quick={"frames": 200, "images": 2},
    cost_s=(80, 28),
)

PAPER = Paper(
    "dyad",
    "A. Johnston and N. G. Berloff",
    "Macroscopic noise amplification by asymmetric dyads in non-Hermitian optical systems for generative diffusion "
    "models",
    "Phys. Rev. Lett. 132, 096901 (2024)",
    (
        _STATE,
        _DIAGRAM,
        _OCCUPATION,
        _ORIENTATION,
        _LOUD,
        _QUIET,
        _CRITICAL,
        _BELOW,
        _INTENSITY,
        _CHAIN,
        _CALIBRATE,
        _BITS,
        _NOISE,
        _DIFFUSE,
        _SENSE,
        _COST,
    ),
)
