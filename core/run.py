"""Where plug-ins of the version before found `Run`; now `core.training.run`. Goes with the next
release.
"""

from core.training.run import Batch, Run, gpu_here

__all__ = ["Batch", "Run", "gpu_here"]
