import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from mlpipeline.dataflow.layers.torch_layer import Torch
from mlpipeline.dataflow.node import Input
from mlpipeline.dataflow.running import fitted
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import DataError, PipelineError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
VALUES = X @ [1.0, -2, 0.5, 3] + 1


def small_net():
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))


def learned(layer, *arrays, epochs=1):
    copied = layer.unfitted_copy()
    copied.learn(*arrays, epochs=epochs)
    return copied


def test_module_learns_classes_and_the_callers_stays_as_it_was():
    net = small_net()
    before = copy.deepcopy(net.state_dict())
    node = Torch(net, "cross_entropy", learning_rate=0.02, method="classes")([Input("x", 4), Input("y")], "out")
    trained = fitted(node.application, [X, CLASSES], 20)
    assert all((before[key] == net.state_dict()[key]).all() for key in before)
    assert net.training
    assert not trained.metadata["module"].training
    assert (trained.compute(X) == CLASSES).mean() > 0.9
    assert list(trained.metadata) == ["module"]
    assert node.application.layer.metadata == {}


@pytest.mark.parametrize("targets", [VALUES, VALUES[:, None]], ids=["(n,)", "(n, 1)"])
def test_targets_of_one_value_are_not_spread_over_the_batch(targets):
    layer = learned(Torch(lambda: nn.Linear(4, 1), "mse", learning_rate=0.05), X, targets, epochs=30)
    expected = np.linalg.lstsq(np.c_[X, np.ones(300)], VALUES, rcond=None)[0]
    np.testing.assert_allclose(layer.metadata["module"].weight.detach().numpy()[0], expected[:4], atol=1e-3)
    assert layer.transform(X).shape == (300, 1)


@pytest.mark.parametrize("labels", [CLASSES, CLASSES[:, None], CLASSES.astype(float), np.eye(3)[CLASSES]])
@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss()], ids=["name", "module"])
def test_class_numbers_and_one_hot_labels_teach_the_same(labels, loss):
    result = learned(Torch(small_net, loss), X, labels).transform(X)
    np.testing.assert_allclose(result, learned(Torch(small_net, "cross_entropy"), X, CLASSES).transform(X), atol=1e-4)


def test_same_seed_gives_the_same_and_leaves_the_random_numbers_of_torch_alone():
    state = torch.get_rng_state()
    one = learned(Torch(small_net, "cross_entropy", seed=3), X, CLASSES, epochs=2)
    torch.rand(7)
    state_between = torch.get_rng_state()
    two = learned(Torch(small_net, "cross_entropy", seed=3), X, CLASSES, epochs=2)
    other = learned(Torch(small_net, "cross_entropy", seed=4), X, CLASSES, epochs=2)
    assert (one.transform(X) == two.transform(X)).all()
    assert (one.transform(X) != other.transform(X)).any()
    assert (torch.get_rng_state() == state_between).all()
    torch.set_rng_state(state)


def test_two_nodes_of_one_layer_learn_separately():
    layer = Torch(small_net(), "cross_entropy", learning_rate=0.02, method="classes")
    one, two = learned(layer, X, CLASSES, epochs=15), learned(layer, X, 2 - CLASSES, epochs=15)
    assert (one.transform(X) == CLASSES).mean() > 0.85
    assert (two.transform(X) == 2 - CLASSES).mean() > 0.85


def test_without_a_loss_the_module_is_used_as_it_is():
    net = small_net()
    layer = Torch(net)
    assert layer.label_count(1) == 0
    with torch.no_grad():
        expected = copy.deepcopy(net).eval()(torch.from_numpy(X).float()).numpy()
    result = learned(layer, X).transform(X)
    assert result.dtype == np.float32
    assert (result == expected).all()


def test_predictions_in_many_batches_equal_those_in_one(monkeypatch):
    layer = learned(Torch(small_net(), batch_size=7), X)
    whole = layer.transform(X)
    monkeypatch.setattr("mlpipeline.dataflow.layers.batches.PREDICTED_BYTES", 1)
    np.testing.assert_allclose(layer.transform(X), whole, atol=1e-6)


@pytest.mark.parametrize(("method", "check"), [("softmax", 1.0), ("sigmoid", None)])
def test_method_makes_probabilities_of_the_outputs(method, check):
    net = small_net()
    values = torch.from_numpy(learned(Torch(net), X).transform(X))
    expected = values.softmax(dim=1) if method == "softmax" else values.sigmoid()
    np.testing.assert_allclose(learned(Torch(net, method=method), X).transform(X), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", torch.optim.AdamW])
def test_stream_goes_on_from_a_fitted_copy_as_from_the_original(optimizer):
    layer = Torch(small_net, "cross_entropy", optimizer=optimizer).unfitted_copy()
    for _ in range(3):
        layer.learn_more(X, CLASSES)
    copied = layer.fitted_copy()
    layer.learn_more(X, CLASSES)
    assert (layer.transform(X) != copied.transform(X)).any()
    copied.learn_more(X, CLASSES)
    assert (layer.transform(X) == copied.transform(X)).all()


def test_stream_of_batches_takes_the_steps_of_the_optimizer():
    net = nn.Linear(4, 1)
    layer = Torch(net, "mse", optimizer="adam", learning_rate=0.01).unfitted_copy()
    by_hand = copy.deepcopy(net)
    steps = torch.optim.Adam(by_hand.parameters(), lr=0.01)
    for rows in np.array_split(np.arange(300), 10):
        layer.learn_more(X[rows], VALUES[rows])
        steps.zero_grad()
        nn.functional.mse_loss(
            by_hand(torch.tensor(X[rows]).float())[:, 0], torch.tensor(VALUES[rows]).float()
        ).backward()
        steps.step()
    assert torch.equal(layer.metadata["module"].weight, by_hand.weight)


def test_dropout_differs_from_one_batch_of_a_stream_to_the_next():
    class Noted(nn.Linear):
        def forward(self, x):
            self.drawn = [*getattr(self, "drawn", []), torch.rand(()).item()]
            return super().forward(x)

    layer = Torch(Noted(4, 1), "mse").unfitted_copy()
    for _ in range(3):
        layer.learn_more(X, VALUES)
    assert len(set(layer.metadata["module"].drawn)) == 3


def test_whole_numbers_reach_an_embedding_and_floats_the_rest():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.out = nn.Embedding(10, 3), nn.Linear(5, 1)

        def forward(self, words, numbers):
            return self.out(torch.cat([self.words(words), numbers], dim=1))

    node = Torch(Mixed, "mse")([Input("w", (), "int64"), Input("x", 2, "float64"), Input("y")], "out")
    assert node.spec == Spec((1,), np.dtype("float32"))
    assert Torch(Mixed)([Input("w"), Input("x", 2)], "out").spec == Spec()
    layer = fitted(node.application, [np.arange(300) % 10, X[:, :2], VALUES], 1)
    assert layer.compute(np.arange(300) % 10, X[:, :2]).shape == (300, 1)


def test_module_that_learns_its_width_from_the_data():
    layer = learned(Torch(lambda: nn.LazyLinear(2), "mse"), X, X[:, :2], epochs=2)
    assert layer.transform(X).shape == (300, 2)


def test_last_batch_of_one_row_does_not_stop_batch_norm():
    layer = Torch(lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "cross_entropy", batch_size=32)
    assert learned(layer, X[:65], CLASSES[:65]).transform(X).shape == (300, 3)


def test_module_that_works_in_place_does_not_change_the_callers_array():
    given = X.astype(np.float32)
    learned(Torch(nn.ReLU(inplace=True)), given).transform(given)
    assert (given == X.astype(np.float32)).all()
    given.flags.writeable = False
    assert learned(Torch(nn.Identity()), given).transform(given).flags.writeable


def test_several_outputs_are_several_nodes():
    class Two(nn.Module):
        def forward(self, x):
            return x[:, :1], x[:, 1:]

    one, three = Torch(Two(), n_outputs=2)(Input("x", 4), ["one", "three"])
    assert (one.spec.shape, three.spec.shape) == ((1,), (3,))
    assert [each.shape for each in learned(Torch(Two(), n_outputs=2), X).transform(X)] == [(300, 1), (300, 3)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Torch(small_net(), "cross_entropy")(Input("x", 4), "out"), r"\[features, labels\]"),
        (lambda: Torch(small_net())(Input("x", 5), "out"), r"does not take \(n, 5\)"),
        (lambda: Torch(small_net(), "crossentropy"), "did you mean cross_entropy"),
        (lambda: Torch(small_net(), "mse", optimizer="adma"), "did you mean adam"),
        (lambda: Torch(3), "expected a module"),
        (lambda: Torch(dict)(Input("x", 4), "out"), "it made dict"),
        (lambda: Torch(small_net(), method="logits"), "expected as method"),
        (lambda: Torch(small_net(), n_outputs=2)(Input("x", 4), ["a", "b"]), "expected 2 tensors"),
    ],
)
def test_what_cannot_work_is_refused_when_the_graph_is_built(make, message):
    with pytest.raises(PipelineError, match=message):
        make()


@pytest.mark.parametrize(
    ("loss", "labels", "message"),
    [
        ("mse", VALUES, r"shape of the outputs, \(32, 3\)"),
        ("cross_entropy", CLASSES + 1, "class numbers below 3, the outputs, but got 3"),
        ("cross_entropy", CLASSES + 0.5, "got fractions"),
        ("cross_entropy", np.c_[CLASSES, CLASSES], "class numbers"),
        ("cross_entropy", CLASSES.astype(str), "expected numbers"),
        ("mse", np.full((300, 3), np.nan), "the loss is nan after epoch 1 of 1"),
        ("mse", VALUES[:5], "same, more than 0 observations"),
    ],
)
def test_labels_that_do_not_fit_are_refused(loss, labels, message):
    with pytest.raises(DataError, match=message):
        learned(Torch(small_net, loss), X, labels)


def test_threads_share_a_fitted_layer():
    layer = learned(Torch(small_net, "cross_entropy"), X, CLASSES)
    expected = layer.transform(X)
    with ThreadPoolExecutor(8) as pool:
        assert all((each == expected).all() for each in pool.map(lambda _: layer.transform(X), range(30)))


def test_threads_that_fit_at_once_give_what_each_gives_alone():
    layers = [Torch(small_net, "cross_entropy", seed=seed).unfitted_copy() for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda layer: layer.learn(X, CLASSES), layers))
    for seed, layer in enumerate(layers):
        alone = learned(Torch(small_net, "cross_entropy", seed=seed), X, CLASSES)
        assert (layer.transform(X) == alone.transform(X)).all()
