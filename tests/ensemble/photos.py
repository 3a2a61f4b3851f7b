"""Images that tests augment, and the shortest way to do it."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from mlpipeline.ensemble.augmentation import read_augmentation

LAST, FIRST = "channels_last", "channels_first"


def photos(count=6, height=12, width=17, channels=3, seed=0):
    """Return smooth, asymmetric images of whole numbers from 0 to 255, float32[n, height, width, channels]."""
    noise = np.random.default_rng(seed).normal(size=(count, height, width, channels))
    smooth = ndimage.gaussian_filter(noise, (0, 1.5, 1.5, 0))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.round(255 * smooth).astype(np.float32)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def applied(spec, images, layout=LAST, seed=0, fitted_on=None):
    """Return what an augmentation makes of images, fitted on others or on these."""
    augmentation = read_augmentation(spec, layout)
    statistics = augmentation.fit(images if fitted_on is None else fitted_on)
    return augmentation(torch.tensor(images), statistics, generator(seed)).numpy()
