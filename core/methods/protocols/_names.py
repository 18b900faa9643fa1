"""The words of the contest, apart from the code that needs skada."""

SOURCE, TARGET = "train on source", "train on target"
ORACLE = "supervised oracle"
BLIND = (
    "circular validation",
    "importance weighting",
    "deep embedded validation",
    "soft neighbourhood density",
    "prediction entropy",
)
CONTESTING = (
    SOURCE,
    "CORAL",
    "subspace alignment",
    "density reweighting",
    "kernel mean matching",
    "linear OT",
    "entropic OT",
    "class-regularised OT",
    TARGET,
)
