"""mlpipeline: a queue of experiments, each run in a process of its own, recorded and resumable."""

__version__ = "0.1.0"
