import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import ClassifierMixin, clone
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from mlpipeline.dataflow.layers import sklearn_arrays
from mlpipeline.dataflow.layers.sklearn_layer import Sklearn
from mlpipeline.dataflow.node import Input
from mlpipeline.dataflow.running import fitted
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import DataError, PipelineError

TEXTS = np.array(["red apple", "green apple", "red pear", "blue"])


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def learned(layer, *arrays):
    copied = layer.unfitted_copy()
    copied.learn(*arrays)
    return copied


def test_transformer_gives_what_scikit_learn_gives(iris):
    x, _ = iris
    result = learned(Sklearn(MinMaxScaler(clip=True)), x).transform(x + 1)
    assert (result == MinMaxScaler(clip=True).fit(x).transform(x + 1)).all()


def test_supervised_model_sees_labels_in_fitting_only(iris):
    x, y = iris
    result = learned(Sklearn(SVC()), x, y).transform(x)
    assert (result == SVC().fit(x, y).predict(x)).all()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function", "predict_log_proba"])
def test_method_that_is_asked_for_makes_the_result(iris, method):
    x, y = iris
    est = LogisticRegression(max_iter=500)
    result = learned(Sklearn(est, method=method), x, y).transform(x)
    np.testing.assert_allclose(result, getattr(clone(est).fit(x, y), method)(x), rtol=1e-12)


def test_without_a_method_transform_comes_before_probabilities_and_those_before_classes(iris):
    x, y = iris
    assert learned(Sklearn(KMeans(3, random_state=0)), x).transform(x).shape == (150, 3)
    assert learned(Sklearn(GaussianNB()), x, y).transform(x).shape == (150, 3)
    assert learned(Sklearn(LinearRegression()), x, y).transform(x).shape == (150,)


def test_callers_estimator_stays_unfitted_and_two_nodes_learn_separately(iris):
    x, _ = iris
    layer = Sklearn(StandardScaler())
    first, second = Input("a", 4), Input("b", 4)
    one = fitted(layer(first, "one").application, [x], 1)
    two = fitted(layer(second, "two").application, [x + 100], 1)
    assert abs(one.compute(x).mean()) < 1e-9
    assert abs(two.compute(x + 100).mean()) < 1e-9
    assert not hasattr(layer.estimator, "mean_")
    assert layer.metadata == {}
    assert list(one.metadata) == ["estimator"]
    layer.fit(x)
    assert not hasattr(layer.estimator, "mean_")


def test_several_nodes_stand_beside_each_other_as_columns(iris):
    x, _ = iris
    result = learned(Sklearn(StandardScaler()), x[:, :3], x[:, 3]).transform(x[:, :3], x[:, 3])
    np.testing.assert_allclose(result, StandardScaler().fit_transform(x), rtol=1e-12)


def test_texts_and_numbers_beside_each_other_keep_their_kinds():
    layer = Sklearn(OneHotEncoder())
    texts, numbers = np.array(["a", "b", "a"]), np.array([1, 2, 10])
    fitted_layer = learned(layer, texts, numbers)
    assert fitted_layer.metadata["estimator"].categories_[1].tolist() == [1, 2, 10]
    assert fitted_layer.transform(texts, numbers).sum() == 6


def test_single_values_become_one_column():
    x = np.array([1.0, 2, 3])
    assert learned(Sklearn(MinMaxScaler()), x).transform(x).tolist() == [[0], [0.5], [1]]


@pytest.mark.parametrize("est", [CountVectorizer(), TfidfVectorizer(), HashingVectorizer(n_features=16)], ids=repr)
@pytest.mark.parametrize("texts", [TEXTS, TEXTS.astype(object), TEXTS[:, None]])
def test_vectorizer_takes_texts_as_they_are(est, texts):
    result = learned(Sklearn(est), texts).transform(texts)
    assert type(result) is np.ndarray
    np.testing.assert_allclose(result, clone(est).fit_transform(TEXTS).toarray())


def test_pipeline_that_begins_with_a_vectorizer_takes_texts():
    est = make_pipeline(TfidfVectorizer(), LogisticRegression())
    layer = learned(Sklearn(est, method="predict"), TEXTS, np.array([0, 0, 1, 1]))
    assert layer.transform(TEXTS[:3]).tolist() == [0, 0, 1]


def test_sparse_result_too_large_for_an_array_is_refused(monkeypatch):
    layer = learned(Sklearn(HashingVectorizer()), TEXTS)
    monkeypatch.setattr(sklearn_arrays, "MAX_DENSE_BYTES", 10_000_000)
    with pytest.raises(PipelineError, match=r"1,048,576 columns.*TruncatedSVD"):
        layer.transform(TEXTS)


def test_one_hot_labels_become_column_numbers(iris):
    x, y = iris
    layer = learned(Sklearn(LogisticRegression(max_iter=500)), x, np.eye(3)[y])
    expected = LogisticRegression(max_iter=500).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(layer.transform(x), expected, rtol=1e-12)


@pytest.mark.parametrize("est", [KNeighborsClassifier(), RandomForestClassifier(10, random_state=0)], ids=repr)
def test_classifier_of_several_labels_gives_a_probability_for_each(est, iris):
    x, y = iris
    labels = np.c_[y == 0, y > 0, y < 5].astype(int)
    result = learned(Sklearn(est), x, labels).transform(x)
    assert result.shape == (150, 3)
    assert ((result > 0.5) == labels).mean() > 0.99


def test_labels_that_are_not_one_hot_are_refused_for_a_classifier_of_one_label(iris):
    x, y = iris
    with pytest.raises(DataError, match=r"one-hot labels \(n, k\), but got \(150, 2\)"):
        learned(Sklearn(LogisticRegression()), x, np.c_[y, y])


def test_column_of_labels_is_taken_as_labels(iris):
    x, y = iris
    layer = learned(Sklearn(RandomForestClassifier(5), method="predict"), x, y[:, None])
    assert layer.transform(x).shape == (150,)


def test_predicted_classes_keep_their_dtype(iris):
    x, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    result = learned(Sklearn(LogisticRegression(max_iter=500), method="predict"), x, names).transform(x)
    assert result.dtype == names.dtype
    assert (result == names).mean() > 0.9


def test_supervised_estimator_without_labels_is_refused_when_the_graph_is_built():
    for est in (LogisticRegression(), SelectKBest(), make_pipeline(SelectKBest(), PCA())):
        with pytest.raises(PipelineError, match=r"labels: expected \[features, labels\]"):
            Sklearn(est)(Input("x", 4), "out")


def test_labels_can_be_said_to_be_there_or_not(iris):
    x, y = iris
    layer = Sklearn(PCA(2), labels=True)
    assert layer.label_count(2) == 1
    assert learned(layer, x, y).transform(x).shape == (150, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sklearn(DBSCAN()), "only fit_predict"),
        (lambda: Sklearn(DBSCAN(), method="fit_predict"), "works on new data"),
        (lambda: Sklearn(StandardScaler), r"StandardScaler\(\)"),
        (lambda: Sklearn(PCA(), method="predict"), "got 'predict'"),
        (lambda: Sklearn(SVC(), method="transfrom"), "got 'transfrom'"),
        (lambda: Sklearn(PCA())(Input("image", (8, 8, 3)), "out"), "Flatten"),
        (lambda: Sklearn(CountVectorizer())([Input("a"), Input("b")], "out"), "one node"),
    ],
)
def test_what_cannot_work_is_refused_when_the_graph_is_built(make, message):
    with pytest.raises(PipelineError, match=message):
        make()


def test_images_that_come_unannounced_are_refused():
    with pytest.raises(DataError, match="Flatten"):
        learned(Sklearn(PCA()), np.zeros((5, 3, 3)))


def test_shape_is_known_where_the_estimator_keeps_it():
    assert Sklearn(StandardScaler())([Input("a", 3), Input("b")], "out").spec == Spec((4,))


def test_stream_equals_the_whole_for_statistics(iris):
    x, y = iris
    for est in (StandardScaler(), MinMaxScaler(), MultinomialNB()):
        streamed = Sklearn(est, classes=[0, 1, 2]).unfitted_copy()
        labels = [y] if isinstance(est, MultinomialNB) else []
        for rows in np.array_split(np.random.default_rng(0).permutation(150), 7):
            streamed.learn_more(x[rows], *(each[rows] for each in labels))
        whole = learned(Sklearn(est), x, *labels)
        np.testing.assert_allclose(streamed.transform(x), whole.transform(x), rtol=1e-12, atol=1e-12)


def test_what_was_seen_once_more_is_seen_by_transform(iris):
    x, _ = iris
    layer = Sklearn(StandardScaler()).unfitted_copy()
    layer.learn_more(x[:50])
    before = layer.transform(x)
    layer.learn_more(x[50:])
    assert abs(layer.transform(x) - before).max() > 0.1
    np.testing.assert_allclose(layer.transform(x), StandardScaler().fit_transform(x), rtol=1e-12, atol=1e-12)


def test_classifier_on_a_stream_needs_its_classes(iris):
    x, y = iris
    with pytest.raises(PipelineError, match=r"classes=\["):
        Sklearn(SGDClassifier()).unfitted_copy().learn_more(x, y)
    layer = Sklearn(SGDClassifier(), classes=[0, 1, 2]).unfitted_copy()
    layer.learn_more(x[y < 2], y[y < 2])
    assert layer.transform(x).shape == (150,)


def test_one_hot_labels_on_a_stream_tell_the_classes(iris):
    x, y = iris
    layer = Sklearn(SGDClassifier()).unfitted_copy()
    layer.learn_more(x[y < 2], np.eye(3)[y[y < 2]])
    assert layer.metadata["estimator"].classes_.tolist() == [0, 1, 2]


def test_estimator_says_whether_it_can_stream_and_goes_on_learning():
    known = {
        SGDClassifier: (True, True),
        StandardScaler: (True, False),
        IncrementalPCA: (True, False),
        PCA: (False, False),
    }
    for kind, expected in known.items():
        layer = Sklearn(kind())
        assert (layer.can_stream, layer.is_iterative) == expected
    with pytest.raises(PipelineError, match="PCA cannot be fitted batch by batch"):
        Sklearn(PCA()).learn_more(np.zeros((4, 2)))


def test_rows_with_nan_are_counted_in_fitting_and_after(iris):
    x, y = iris
    holes = x.copy()
    holes[[1, 5], 0] = np.nan
    for layer in (Sklearn(SVC()), Sklearn(LogisticRegression(max_iter=500))):
        with pytest.raises(DataError, match="2 of 150 rows hold NaN"):
            learned(layer, holes, y)
        with pytest.raises(DataError, match="2 of 150 rows hold NaN"):
            learned(layer, x, y).transform(holes)


@pytest.mark.parametrize(
    ("estimator", "values"),
    [
        (StandardScaler(), np.eye(4)),
        (LogisticRegression(), np.eye(4)),
        (RandomForestClassifier(3), np.eye(4, dtype="f4")),
        (SVC(), np.eye(4)),
        (KMeans(2), np.eye(4)),
        (OneHotEncoder(dtype="f4"), TEXTS[:, None]),
        (OneHotEncoder(handle_unknown="ignore"), TEXTS[:, None].astype(object)),
        (TfidfVectorizer(), TEXTS),
        (TfidfVectorizer(), TEXTS.astype(object)),
    ],
)
def test_no_observations_give_none_of_the_same_width_and_dtype(estimator, values):
    labels = [np.array([0, 0, 1, 1])] if isinstance(estimator, ClassifierMixin) else []
    layer = learned(Sklearn(estimator), values, *labels)
    expected, result = layer.transform(values)[:0], layer.transform(values[:0])
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)


def test_infinity_alone_is_counted_where_nan_is_taken(iris):
    x = iris[0].copy()
    x[0, 0], x[1, 0], x[2, 0] = np.inf, np.nan, np.nan
    with pytest.raises(DataError, match="1 of 150 rows hold infinity"):
        learned(Sklearn(StandardScaler()), x)


def test_affine_part_and_link_give_the_same_as_transform(iris):
    x, y = iris
    spec = Spec((4,), x.dtype)
    scaler = learned(Sklearn(StandardScaler()), x)
    model = learned(Sklearn(LogisticRegression(max_iter=500)), x, y)
    affine, link = model.affine_link(spec)
    folded = scaler.affine_link(spec)[0].then(affine)
    np.testing.assert_allclose(link(folded(x)), model.transform(scaler.transform(x)), rtol=1e-12)
    assert scaler.affine_link(spec)[1] is None
    assert scaler.affine_link(Spec((3,), x.dtype)) is None
    assert learned(Sklearn(SVC()), x, y).affine_link(spec) is None


def test_names_of_columns_come_from_the_estimator(iris):
    x, _ = iris
    layer = learned(Sklearn(PCA(2)), x)
    assert layer.feature_names(["a", "b", "c", "d"]) == ["pca0", "pca1"]
    assert learned(Sklearn(CountVectorizer()), TEXTS).feature_names(["text"]) == [
        "apple",
        "blue",
        "green",
        "pear",
        "red",
    ]
    assert learned(Sklearn(StandardScaler()), x).feature_names(["a"]) is None


def test_parameters_of_the_estimator_are_parameters_of_the_layer(iris):
    x, y = iris
    layer = learned(Sklearn(LogisticRegression(C=3)), x[:, :2], y)
    copied = clone(layer).set_params(estimator__C=7)
    assert layer.get_params()["estimator__C"] == 3
    assert copied.estimator.C == 7
    assert copied.metadata == {}


def test_layer_is_a_step_of_a_scikit_learn_pipeline(iris):
    x, y = iris
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps = Pipeline([("scale", Sklearn(StandardScaler())), ("model", LogisticRegression())]).fit(x, y)
    assert steps.score(x, y) > 0.9


def test_copies_leave_out_what_is_made_again_and_work(iris):
    x, _ = iris
    layer = learned(Sklearn(StandardScaler()), x)
    expected = layer.transform(x)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert copied._ready is None
        assert (copied.transform(x) == expected).all()


def test_threads_share_a_fitted_layer(iris):
    x, y = iris
    layer = learned(Sklearn(LogisticRegression(max_iter=500)), x, y)
    expected = LogisticRegression(max_iter=500).fit(x, y).predict_proba(x)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: layer.transform(x), range(50)))
    for result in results:
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_input_array_is_not_changed(iris):
    x, _ = iris
    given = x.copy()
    learned(Sklearn(StandardScaler(copy=False)), given).transform(given)
    learned(Sklearn(MinMaxScaler(clip=True, copy=False)), given).transform(given)
    learned(Sklearn(PCA(2, copy=False, svd_solver="full")), given)
    assert (given == x).all()
