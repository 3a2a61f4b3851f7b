"""Metadata, dependencies, extras and the entry point."""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    "keras": ["keras>=3"],
    "sql": ["SQLAlchemy>=2"],
    "mlflow": ["mlflow>=3"],
    "ray": ["ray"],
    "parquet": ["pyarrow>=15"],
    "report": ["itables>=2.5", "plotly>=6"],
    "search": ["optuna>=5"],
    "serving": ["fastapi", "uvicorn"],
    "tensorboard": ["tensorboard>=2.16"],
    "ui": ["fastapi>=0.110", "itables>=2.5", "plotly>=6", "sse-starlette>=2", "uvicorn>=0.29"],
    "onnx": ["onnx", "onnxruntime", "skl2onnx"],
    "plot": ["altair>=5", "igraph>=0.11", "vl-convert-python>=1.6"],
    "polars": ["polars>=1"],
}
TOOLS = ["hypothesis", "mypy", "pandas-stubs", "playwright", "psycopg[binary]", "pytest", "pytest-xdist"]
TOOLS += ["ruff", "scipy-stubs", "setuptools"]
TOOLS += ["pyarrow"]  # pandas loads it where it is installed; the fork server has to bear that
# the extras that the tests use; parquet comes with the line above, report with ui
TESTED = ["keras", "mlflow", "onnx", "plot", "polars", "search", "sql", "tensorboard", "ui"]
EXTRAS["dev"] = [*TOOLS, *(package for extra in TESTED for package in EXTRAS[extra])]

setup(
    name="mlpipeline",
    version="0.1.0",
    description="A queue of experiments, each run in a process of its own, recorded and resumable",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["mlpipeline", "mlpipeline.*"]),
    package_data={"mlpipeline": ["py.typed", "dataflow/layers/stopwords/*.txt", "reports/page/*"]},
    install_requires=[
        "click>=8.1",
        "filelock>=3.15",
        "joblib>=1.4",
        "numpy>=2",
        "pandas>=2.2",
        "plotext>=6.1",
        "rich>=13",
        "safetensors>=0.4",
        "scikit-learn>=1.6",
        "skops>=0.11",
        "torch>=2.4",
        "torchvision>=0.19",
        "xxhash>=3",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["mlpipeline=mlpipeline.cli.main:main"]},
)
