"""Keras, loaded by importing this: for those that load libraries by name, as the fork server of the runner does."""

from mlpipeline.ensemble.keras_setup import keras_module

keras = keras_module()
