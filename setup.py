"""Metadata, dependencies, extras and the entry point."""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    "keras": ["keras>=3"],
    "sql": ["SQLAlchemy>=2"],
    "mlflow": ["mlflow"],
    "ray": ["ray"],
    "search": ["optuna"],
    "serving": ["fastapi", "uvicorn"],
    "onnx": ["onnx", "onnxruntime"],
    "dev": ["mypy", "pandas-stubs", "pytest", "ruff", "scipy-stubs", "setuptools"],
}

setup(
    name="mlpipeline",
    version="0.1.0",
    description="A queue of experiments, each run in a process of its own, recorded and resumable",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["mlpipeline", "mlpipeline.*"]),
    package_data={"mlpipeline": ["py.typed"]},
    install_requires=[
        "click>=8.1",
        "filelock>=3.15",
        "numpy>=2",
        "pandas>=2.2",
        "rich>=13",
        "safetensors>=0.4",
        "scikit-learn>=1.5",
        "torch>=2.4",
        "torchvision>=0.19",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["mlpipeline=mlpipeline.cli.main:main"]},
)
