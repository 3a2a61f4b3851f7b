import numpy as np
import pytest
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Perceptron,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import LinearSVC, LinearSVR

from mlpipeline.dataflow.layers.sklearn_maps import native_form, softmax
from mlpipeline.errors import DataError

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler((-1, 3)),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False),
    RobustScaler(with_scaling=False),
]
PROJECTIONS = [
    PCA(3),
    PCA(2, whiten=True),
    IncrementalPCA(3, whiten=True),
    TruncatedSVD(2),
    LinearDiscriminantAnalysis(),
    LinearDiscriminantAnalysis(solver="eigen"),
]
REGRESSORS = [
    LinearRegression(),
    Ridge(),
    Lasso(0.01),
    ElasticNet(0.01),
    BayesianRidge(),
    HuberRegressor(max_iter=1000),
    SGDRegressor(),
    LinearSVR(loss="squared_epsilon_insensitive", dual=False),
]
CLASSIFIERS = [
    LogisticRegression(max_iter=1000),
    RidgeClassifier(),
    SGDClassifier(),
    Perceptron(),
    LinearSVC(),
    LinearDiscriminantAnalysis(),
]
METHODS = {
    **{(repr(est), "transform"): est for est in SCALERS + PROJECTIONS},
    **{(repr(est), "predict"): est for est in REGRESSORS + CLASSIFIERS},
    **{(repr(est), "decision_function"): est for est in CLASSIFIERS},
    **{(repr(est), "predict_proba"): est for est in CLASSIFIERS if hasattr(est, "predict_proba")},
}


@pytest.fixture(scope="module")
def table():
    x, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(x) * np.linspace(0.5, 2, 13) + 0.5, y


def fitted(est, x, y):
    return type(est)(**est.get_params()).fit(x, y)


@pytest.mark.parametrize(
    ("named", "est"), METHODS.items(), ids=lambda part: "-".join(part) if type(part) is tuple else ""
)
@pytest.mark.parametrize("kinds", ["two", "three"])
def test_native_form_equals_scikit_learn(named, est, kinds, table):
    x, y = table
    if kinds == "two":
        x, y = x[y < 2], y[y < 2]
    est = fitted(est, x, np.array(["a", "b", "c"])[y] if est in CLASSIFIERS else y)
    form = native_form(est, named[1])
    expected = getattr(est, named[1])(x)
    assert form is not None
    result = form(x.copy())
    assert result.dtype == expected.dtype
    if expected.dtype.kind == "U":
        assert (result == expected).all()
    else:
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("est", SCALERS + PROJECTIONS + REGRESSORS + CLASSIFIERS, ids=repr)
@pytest.mark.parametrize("fitted_on", [np.float32, np.float64])
def test_float32_gives_the_dtype_that_scikit_learn_gives(est, fitted_on, table):
    x, y = table
    narrow = x.astype(np.float32)
    est = fitted(est, x.astype(fitted_on), y)
    method = "transform" if hasattr(est, "transform") else "predict"
    expected = getattr(est, method)(narrow)
    result = native_form(est, method)(narrow)
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("est", [LinearRegression(), Ridge(), Lasso(0.01), ElasticNet(0.01)], ids=repr)
def test_regression_of_several_values_equals_scikit_learn(est, table):
    x, y = table
    est = fitted(est, x, np.c_[y, y**2, -y])
    np.testing.assert_allclose(native_form(est, "predict")(x), est.predict(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", ["lbfgs", "liblinear", "newton-cholesky"])
@pytest.mark.parametrize("multiply", [1, 1e4])
def test_probabilities_do_not_overflow(solver, multiply):
    x, y = load_iris(return_X_y=True)
    est = LogisticRegression(solver=solver, max_iter=1000).fit(x[:100], y[:100])
    result = native_form(est, "predict_proba")(x * multiply)
    np.testing.assert_allclose(result, est.predict_proba(x * multiply), rtol=1e-12)


def test_softmax_of_many_rows_equals_that_of_single_rows():
    values = np.random.default_rng(0).normal(size=(500, 5)) * 1000
    one_by_one = np.concatenate([softmax(row[None].copy()) for row in values])
    assert np.isfinite(one_by_one).all()
    np.testing.assert_allclose(softmax(values.copy()), one_by_one, rtol=1e-13)


def test_class_derived_from_a_known_one_has_no_native_form(table):
    class Doubled(StandardScaler):
        def transform(self, x):
            return 2 * super().transform(x)

    Doubled.__name__, Doubled.__module__ = "StandardScaler", "mine.preprocessing"
    assert native_form(Doubled().fit(table[0]), "transform") is None
    assert native_form(MinMaxScaler(clip=True).fit(table[0]), "transform") is None


@pytest.mark.parametrize("est", [PCA(2), LinearRegression(), LogisticRegression(max_iter=1000)], ids=repr)
def test_rows_with_nan_are_counted(est, table):
    x, y = table
    form = native_form(fitted(est, x, y), "transform" if hasattr(est, "transform") else "predict")
    holes = x.copy()
    holes[3, 1] = holes[3, 2] = holes[7, 0] = np.nan
    with pytest.raises(DataError, match=r"2 of 178 rows hold NaN"):
        form(holes)


def test_scaler_passes_nan_as_scikit_learn_does(table):
    holes = table[0].copy()
    holes[3, 1] = np.nan
    est = StandardScaler().fit(table[0])
    np.testing.assert_allclose(native_form(est, "transform")(holes), est.transform(holes), rtol=1e-12)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("est", [StandardScaler(), MinMaxScaler(), MaxAbsScaler(), RobustScaler()], ids=repr)
def test_scaler_refuses_infinity_as_scikit_learn_does(est, value, table):
    x = table[0].copy()
    x[3, 1], x[7, 0] = value, np.nan
    est.fit(table[0])
    with pytest.raises(ValueError, match="infinity"):
        est.transform(x)
    with pytest.raises(DataError, match="1 of 178 rows hold infinity"):
        native_form(est, "transform")(x)


def test_wrong_width_is_refused_before_numpy_would_spread_it(table):
    with pytest.raises(DataError, match="13 values, as in fitting, but got 1"):
        native_form(StandardScaler().fit(table[0]), "transform")(table[0][:, :1])
