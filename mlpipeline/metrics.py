"""Named running averages over batches and epochs."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlpipeline.errors import MetricError, did_you_mean
from mlpipeline.reporting import tell
from mlpipeline.scripting import log


class Metric:
    """A running average, within the epoch and since the last `reset`, and a window of the last epochs' averages.

    Args:
        track_average_epoc_count: how many epochs the window holds, at least 1.
    """

    def __init__(self, track_average_epoc_count: int = 1) -> None:
        if track_average_epoc_count < 1:
            raise MetricError(f"track_average_epoc_count must be at least 1, but got {track_average_epoc_count}")
        self.track_average_epoc_count = track_average_epoc_count
        self._epoch_averages: deque[float] = deque(maxlen=track_average_epoc_count)
        self.reset()
        self._start_epoch()

    def update(self, value: float, count: int = 1) -> None:
        """Add the sum `value` of `count` observations; for the mean of a batch, pass `mean * count, count`.

        Raises: MetricError: the value is not a single number.
        """
        number = as_number(value)
        self.value += number
        self.count += count
        self.epoc_value += number
        self.epoc_count += count

    def reset(self) -> None:
        """Forget the running average; the epoch's goes on."""
        self.value = 0.0
        self.count = 0

    def reset_epoc(self) -> None:
        """End the epoch: its average enters the window."""
        self._epoch_averages.append(self.avg_epoc())
        self._start_epoch()

    def avg(self) -> float:
        """Return the average since the last `reset`; 0 before the first update."""
        return self.value / self.count if self.count else 0.0

    def avg_epoc(self) -> float:
        """Return the average of this epoch; 0 before its first update."""
        return self.epoc_value / self.epoc_count if self.epoc_count else 0.0

    avg_epoch = avg_epoc
    reset_epoch = reset_epoc

    def latest(self) -> float:
        """Return the average of this epoch or, where it has just ended, of the last one."""
        return self._epoch_averages[-1] if self._epoch_averages and not self.epoc_count else self.avg_epoc()

    def get_tracking_average(self) -> float:
        """Return the mean of the window; 0 until it is half full."""
        half_full = self._epoch_averages and len(self._epoch_averages) >= self.track_average_epoc_count / 2
        return statistics.fmean(self._epoch_averages) if half_full else 0.0

    def get_tracking_delta(self) -> float:
        """Return the change from the first to the last epoch of the window; 0 until it is full."""
        full = len(self._epoch_averages) == self.track_average_epoc_count
        return self._epoch_averages[-1] - self._epoch_averages[0] if full else 0.0

    def get_tracking_stdev(self) -> float:
        """Return the sample standard deviation of the window; 0 with fewer than two epochs."""
        return statistics.stdev(self._epoch_averages) if len(self._epoch_averages) > 1 else 0.0

    def _start_epoch(self) -> None:
        self.epoc_value = 0.0
        self.epoc_count = 0


class MetricContainer(Mapping[str, Metric]):
    """Metrics by name, as attributes (`container.loss`) and as a mapping.

    Args:
        metrics: names, or `{"metrics": [names], "track_average_epoc_count": n}` for each window length.
        track_average_epoc_count: the window, in epochs, of the names that say none.

    Raises: MetricError: the names are not a list, or one is doubled or not a string.
    """

    def __init__(
        self, metrics: Sequence[str | Mapping[str, Any]] | None = None, track_average_epoc_count: int = 1
    ) -> None:
        if metrics is not None and (isinstance(metrics, str) or not isinstance(metrics, Sequence)):
            raise MetricError(f"metrics must be a list of names or of mappings, but got {metrics!r}")
        self._metrics: dict[str, Metric] = {}
        for entry in metrics or ():
            named: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {"metrics": [entry]}
            window = named.get("track_average_epoc_count", track_average_epoc_count)
            names = named.get("metrics", ())
            for name in [names] if isinstance(names, str) else names:
                self._add(name, window)

    def _add(self, name: object, window: int) -> None:
        if not isinstance(name, str) or name in self._metrics:
            raise MetricError(f"each metric needs a name of its own, but got {name!r}")
        self._metrics[name] = Metric(window)

    def __getitem__(self, name: str) -> Metric:
        return self._metrics[name]

    def __getattr__(self, name: str) -> Metric:
        metrics = self.__dict__.get("_metrics", {})
        if name not in metrics:
            raise AttributeError(f"no metric is named {name!r}{did_you_mean(name, metrics)}")
        metric: Metric = metrics[name]
        return metric

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    def reset(self, metrics: Sequence[str] | None = None) -> None:
        """Forget the running averages of the named metrics, or of all."""
        for metric in self._chosen(metrics).values():
            metric.reset()

    def reset_epoc(self, metrics: Sequence[str] | None = None) -> None:
        """End the epoch of the named metrics, or of all."""
        for metric in self._chosen(metrics).values():
            metric.reset_epoc()

    reset_epoch = reset_epoc

    def averages(self) -> dict[str, float]:
        """Return each metric's average over this epoch or, where it has just ended, the last one."""
        return {name: metric.latest() for name, metric in self._metrics.items()}

    def report(self, step: int, total: int | None = None) -> None:
        """Tell how far the work is, and each metric's running average at this moment; costs microseconds.

        Args:
            step: batches done.
            total: batches in all.
        """
        tell(int(step), None if total is None else int(total), {name: item.avg() for name, item in self.items()})

    def log_metrics(
        self,
        metrics: Sequence[str] | None = None,
        log_to_file: bool = True,
        complete_epoc: bool = False,
        items_per_row: int = 3,
        charachters_per_row: int = 50,
        name_prefix: str = "",
        step: int | None = None,
    ) -> str:
        """Log the named metrics, or all, a few in a row.

        Args:
            metrics: names; all if None.
            log_to_file: also into the log of the outputs directory.
            complete_epoc: the average of the epoch instead of the running one.
            items_per_row: how many stand in one logged line.
            charachters_per_row: how long a logged line is at most.
            name_prefix: set before each name.
            step: the step that the numbers belong to, named first; with one they enter the run's curves too.

        Returns: all rows as one line.
        """
        averages = {
            name: metric.latest() if complete_epoc else metric.avg() for name, metric in self._chosen(metrics).items()
        }
        items = [f"{name_prefix}{name}: {value:.4f}    " for name, value in averages.items()]
        if step is not None:
            items.insert(0, f"step: {step}    ")
            tell(step, None, {f"{name_prefix}{name}": value for name, value in averages.items()})
        rows = _rows(items, items_per_row, charachters_per_row)
        for row in rows:
            log(row, log_to_file=log_to_file)
        return "".join(rows)

    def _chosen(self, names: Sequence[str] | None) -> dict[str, Metric]:
        for name in names or ():
            if name not in self._metrics:
                raise MetricError(f"no metric is named {name!r}{did_you_mean(name, self._metrics)}")
        return self._metrics if names is None else {name: self._metrics[name] for name in names}


def as_number(value: Any) -> float:
    """Return a single number, from Python, NumPy or torch, as a float. Raises: MetricError: it is none."""
    try:
        number = value if isinstance(value, (int, float)) else value.item()
    except (AttributeError, ValueError, RuntimeError):
        number = None
    if not isinstance(number, (int, float)):
        raise MetricError(f"a metric must be a single number, but got {value!r}")
    return float(number)


def _rows(items: Sequence[str], items_per_row: int, characters_per_row: int) -> list[str]:
    rows: list[list[str]] = []
    for item in items:
        row = rows[-1] if rows else []
        if not rows or len(row) >= items_per_row or len("".join(row)) + len(item) > characters_per_row:
            rows.append(row := [])
        row.append(item)
    return ["".join(row) for row in rows]
