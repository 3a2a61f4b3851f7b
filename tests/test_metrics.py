import statistics

import pytest

from mlpipeline.errors import MetricError
from mlpipeline.metrics import Metric, MetricContainer, as_number


def epochs(metric, *averages):
    for average in averages:
        metric.update(average)
        metric.reset_epoc()


def test_a_value_is_the_sum_over_its_count():
    batches = [[1.0, 2.0, 6.0], [4.0], [5.0, 5.0]]
    metric = Metric()
    for batch in batches:
        metric.update(sum(batch), len(batch))
    assert metric.avg() == metric.avg_epoc() == statistics.fmean(value for batch in batches for value in batch)


def test_a_value_without_a_count_is_one_observation():
    metric = Metric()
    metric.update(2)
    metric.update(4)
    assert metric.avg() == 3


def test_averages_are_0_before_the_first_update():
    metric = Metric(3)
    assert (metric.avg(), metric.avg_epoc(), metric.latest()) == (0, 0, 0)
    assert (metric.get_tracking_average(), metric.get_tracking_delta(), metric.get_tracking_stdev()) == (0, 0, 0)


def test_reset_forgets_the_running_average_and_keeps_the_epoch():
    metric = Metric()
    metric.update(10, 2)
    metric.reset()
    metric.update(1)
    assert (metric.avg(), metric.avg_epoc()) == (1, 11 / 3)


def test_reset_epoc_begins_an_epoch_and_keeps_the_running_average():
    metric = Metric()
    metric.update(10, 2)
    metric.reset_epoc()
    metric.update(1)
    assert (metric.avg(), metric.avg_epoc()) == (11 / 3, 1)


def test_latest_is_the_last_epoch_until_the_next_has_begun():
    metric = Metric()
    metric.update(4)
    metric.reset_epoc()
    assert metric.latest() == 4
    metric.update(6)
    assert metric.latest() == 6


def test_the_window_agrees_with_statistics_over_the_last_epochs():
    values = [0.9, 0.5, 0.7, 0.1, 0.4, 0.35]
    metric = Metric(4)
    epochs(metric, *values)
    assert metric.get_tracking_average() == pytest.approx(statistics.fmean(values[-4:]))
    assert metric.get_tracking_stdev() == pytest.approx(statistics.stdev(values[-4:]))
    assert metric.get_tracking_delta() == pytest.approx(values[-1] - values[-4])


def test_the_window_average_waits_until_half_full_and_the_delta_until_full():
    metric = Metric(4)
    seen = []
    for average in (1, 2, 4, 8):
        epochs(metric, average)
        seen.append((metric.get_tracking_average(), metric.get_tracking_delta()))
    assert seen == [(0, 0), (1.5, 0), (7 / 3, 0), (3.75, 7)]


def test_one_epoch_has_no_deviation():
    metric = Metric(3)
    epochs(metric, 5)
    assert metric.get_tracking_stdev() == 0


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_of_no_epochs_is_refused(window):
    with pytest.raises(MetricError, match=f"track_average_epoc_count must be at least 1, but got {window}"):
        Metric(window)


@pytest.mark.parametrize("value", ["1", None, [1], {}, 1j, object()])
def test_what_is_no_number_is_refused_and_counts_nothing(value):
    metric = Metric()
    with pytest.raises(MetricError, match="a metric must be a single number"):
        metric.update(value)
    assert (metric.value, metric.count, metric.epoc_count) == (0, 0, 0)


def test_numbers_of_numpy_and_torch_are_numbers():
    import numpy as np
    import torch

    given = [np.float32(0.5), np.int64(2), np.array(3.0), torch.tensor(4), torch.tensor([5.0], requires_grad=True)]
    numbers = [as_number(value) for value in given]
    assert numbers == [0.5, 2, 3, 4, 5]
    assert {type(number) for number in numbers} == {float}


def test_arrays_of_several_numbers_are_refused():
    import numpy as np
    import torch

    for value in (np.zeros(2), torch.zeros(2), np.array("x")):
        with pytest.raises(MetricError, match="single number"):
            as_number(value)


def test_a_container_holds_metrics_by_attribute_and_by_name():
    container = MetricContainer(["loss", "accuracy"], 3)
    container.loss.update(2)
    assert container["loss"] is container.loss
    assert list(container) == ["loss", "accuracy"]
    assert container.accuracy.track_average_epoc_count == 3


def test_a_container_takes_a_window_for_each_group():
    groups = [{"metrics": ["loss"], "track_average_epoc_count": 5}, {"metrics": ["accuracy"]}, "error"]
    container = MetricContainer(metrics=groups, track_average_epoc_count=2)
    assert {name: metric.track_average_epoc_count for name, metric in container.items()} == {
        "loss": 5,
        "accuracy": 2,
        "error": 2,
    }


@pytest.mark.parametrize("metrics", ["loss", {"metrics": ["loss"]}, 5, ["a", "a"], [5]])
def test_a_container_refuses_what_is_no_list_of_own_names(metrics):
    with pytest.raises(MetricError):
        MetricContainer(metrics)


def test_a_member_that_is_not_there_names_the_nearest():
    container = MetricContainer(["accuracy"])
    with pytest.raises(AttributeError, match=r"did you mean accuracy\?"):
        _ = container.acuracy
    with pytest.raises(MetricError, match=r"did you mean accuracy\?"):
        container.reset(["acuracy"])


def test_a_container_resets_all_or_the_named():
    container = MetricContainer(["a", "b"])
    for metric in container.values():
        metric.update(1)
    container.reset(["a"])
    container.reset_epoc(["b"])
    assert (container.a.count, container.b.count, container.a.epoc_count, container.b.epoc_count) == (0, 1, 1, 0)
    container.reset()
    container.reset_epoc()
    assert (container.b.count, container.a.epoc_count) == (0, 0)


def test_averages_are_those_of_the_epoch_that_has_just_ended():
    container = MetricContainer(["loss", "unused"])
    container.loss.update(6, 4)
    container.reset_epoc()
    assert container.averages() == {"loss": 1.5, "unused": 0}


def test_log_metrics_returns_the_line_that_it_logs(capsys):
    container = MetricContainer(["loss", "accuracy"])
    container.loss.update(0.5)
    line = container.log_metrics(step=7, name_prefix="train_")
    assert line == "step: 7    train_loss: 0.5000    train_accuracy: 0.0000    "
    printed = "".join(row.partition("INFO ")[2] for row in capsys.readouterr().out.splitlines())
    assert printed == line


def test_log_metrics_shows_the_running_average_or_that_of_the_epoch():
    container = MetricContainer(["loss"])
    epochs(container.loss, 1)
    container.loss.update(3)
    assert container.log_metrics().strip() == "loss: 2.0000"
    assert container.log_metrics(complete_epoc=True).strip() == "loss: 3.0000"


@pytest.mark.parametrize(("items_per_row", "characters", "rows"), [(2, 500, 2), (9, 30, 2), (9, 500, 1), (1, 1, 4)])
def test_log_metrics_breaks_rows_by_items_and_by_length(capsys, items_per_row, characters, rows):
    container = MetricContainer(["a", "b", "c", "d"])
    container.log_metrics(items_per_row=items_per_row, charachters_per_row=characters)
    assert len(capsys.readouterr().out.splitlines()) == rows


def test_log_metrics_logs_only_the_named():
    assert MetricContainer(["a", "b"]).log_metrics(["b"]).strip() == "b: 0.0000"
