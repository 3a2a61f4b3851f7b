"""Keras, loaded by importing this: for the fork server of the runner, which loads libraries by name for all scripts.

Raises: ImportError: another script may want Keras on another backend, which is chosen once in a process.
"""

import importlib.util
import os

from mlpipeline.ensemble.keras_setup import keras_module

if "KERAS_BACKEND" not in os.environ and any(map(importlib.util.find_spec, ("tensorflow", "jax"))):
    raise ImportError("Keras has several backends here; set KERAS_BACKEND=torch to have it loaded once for all runs")
keras = keras_module()
