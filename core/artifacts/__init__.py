"""The typed results that methods give and views take.

Every artifact carries `rows`, the stable int64 ids of the dataset rows it speaks about, and
`made_by`, its provenance. Arrays are saved as `.npy` (memory-mapped on load, never pickled),
everything else as json. Scores are oriented so that higher is more abnormal.
"""

from core.artifacts.base import TYPES, Array, Artifact, MadeBy
from core.artifacts.cases import AnomalyMaps, Attributions, Images, Predictions, Rationales
from core.artifacts.concepts import ConceptTest
from core.artifacts.counterfactual import Counterfactual
from core.artifacts.definitions import Definitions
from core.artifacts.latent import Clusters, Embedding, Map, Scope, Traversal
from core.artifacts.lesions import Lesions
from core.artifacts.model import Model
from core.artifacts.pairs import Pairs
from core.artifacts.steering import Steering
from core.artifacts.tables import Benchmark, Grid, Interval, Metric, Metrics, Network

__all__ = [
    "TYPES",
    "AnomalyMaps",
    "Array",
    "Artifact",
    "Attributions",
    "Benchmark",
    "Clusters",
    "ConceptTest",
    "Counterfactual",
    "Definitions",
    "Embedding",
    "Grid",
    "Images",
    "Interval",
    "Lesions",
    "MadeBy",
    "Map",
    "Metric",
    "Metrics",
    "Model",
    "Network",
    "Pairs",
    "Predictions",
    "Rationales",
    "Scope",
    "Steering",
    "Traversal",
]
