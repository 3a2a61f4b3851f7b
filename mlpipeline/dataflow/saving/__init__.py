"""Saving: a pipeline as one file without any pickle, and back again without running what the file names.

Call tree:

    save_pipeline           pipelines.described: the graph and what was learned as JSON and parts
        codec.Encoder       values by their type; estimators, Keras models and torch modules by files of their own
        archive.write       a zip archive, written aside and moved into place
    load_pipeline           archive.read: every part, after a look at sizes, names and digests
        trust.Trust.check   every name in the file, before anything is imported
        codec.Decoder       values again; pipelines.rebuild makes the graph and puts the fit in place
"""

from mlpipeline.dataflow.saving.pipelines import load_pipeline, save_pipeline

__all__ = ["load_pipeline", "save_pipeline"]
