"""scikit-learn estimators in saved pipelines."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from mlpipeline.dataflow.layers import Normalize
from mlpipeline.dataflow.saving.codec import Encoder
from mlpipeline.errors import PipelineError
from tests.dataflow.saved_files import through_a_file

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
Y = (X[:, 0] > 0).astype(int)


class Shift(TransformerMixin, BaseEstimator):
    def __init__(self, by=1.0):
        self.by = by

    def fit(self, X, y=None):  # noqa: N803
        self.n_ = len(X)
        return self

    def transform(self, X):  # noqa: N803
        return X + self.by


ESTIMATORS = [
    make_pipeline(StandardScaler(), PCA(2), LogisticRegression(class_weight={0: 1.0, 1: 2.0})),
    ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", OneHotEncoder(handle_unknown="ignore"), [2])]),
    SVC(random_state=np.random.RandomState(3)),
    KMeans(2, n_init=1, random_state=0),
    GaussianNB(),
    MLPClassifier((5,), max_iter=3),
    GaussianProcessRegressor(RBF() + WhiteKernel()),
    make_pipeline(SimpleImputer(), SelectKBest(k=2), GaussianNB()),
    Ridge(alpha=np.float32(0.5)),
    FunctionTransformer(np.log1p),
    make_pipeline(Normalize(), LogisticRegression()),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_fitted_estimators_come_back(estimator, tmp_path):
    method = "predict" if hasattr(estimator, "predict") else "transform"
    x = np.abs(X)
    estimator.fit(x, Y)
    back = through_a_file(estimator, tmp_path / "estimator.pkl")
    came, expected = (getattr(each, method)(x) for each in (back, estimator))
    assert (came != expected).sum() == 0


def test_sparse_and_text_estimators_come_back(tmp_path):
    texts = ["the cat sat", "a dog sat", "the dog ran"]
    vectorizer = TfidfVectorizer().fit(texts)
    trusted = ["scipy.sparse._csr.csr_matrix"]
    back = through_a_file([vectorizer, vectorizer.transform(texts)], tmp_path / "estimator.pkl", trusted)
    assert (back[0].transform(texts) != back[1]).nnz == 0


@pytest.mark.parametrize(
    ("estimator", "names"),
    [
        (RandomForestClassifier(3), ["sklearn.tree._tree.Tree"]),
        (KNeighborsClassifier(), ["sklearn.neighbors._kd_tree", "sklearn.metrics._dist_metrics.EuclideanDistance64"]),
        (HistGradientBoostingClassifier(max_iter=2), ["sklearn.ensemble._hist_gradient_boosting.predictor"]),
        (Shift(), [f"{__name__}.Shift"]),
        (Shift(), [Shift]),
    ],
)
def test_what_skops_does_not_vouch_for_needs_trust(estimator, names, tmp_path):
    estimator.fit(X, Y)
    with pytest.raises(PipelineError, match="not part of mlpipeline"):
        through_a_file(estimator, tmp_path / "estimator.pkl")
    back = through_a_file(estimator, tmp_path / "estimator.pkl", trusted=names)
    method = "predict" if hasattr(estimator, "predict") else "transform"
    np.testing.assert_array_equal(getattr(back, method)(X), getattr(estimator, method)(X))


def encoded(value):
    encoder = Encoder()
    encoder.encode(value, "node 'a', parameter estimator")
    return encoder.parts["estimators/0.skops"]


def test_the_same_estimator_is_the_same_bytes(tmp_path):
    def fitted():
        words = TfidfVectorizer().fit(["the cat sat", "a dog"])
        return make_pipeline(StandardScaler(), PCA(2, random_state=0), LogisticRegression()).fit(X, Y), words

    for one, other in zip(fitted(), fitted(), strict=True):
        assert encoded(one) == encoded(other)
        assert encoded(through_a_file(one, tmp_path / "estimator.pkl")) == encoded(one)


def test_a_set_is_the_same_bytes_in_any_order():
    one, other = (FunctionTransformer(kw_args={"words": {*words}}) for words in ([0, 8], [8, 0]))
    assert list(one.kw_args["words"]) != list(other.kw_args["words"])
    assert encoded(one) == encoded(other)


def test_parts_that_are_shared_stay_shared(tmp_path):
    scaler = StandardScaler()
    back = through_a_file(make_pipeline(scaler, scaler), tmp_path / "estimator.pkl")
    assert back.steps[0][1] is back.steps[1][1]
    apart = through_a_file(make_pipeline(StandardScaler(), StandardScaler()), tmp_path / "estimator.pkl")
    assert apart.steps[0][1] is not apart.steps[1][1]


def nested():
    class Local(BaseEstimator):
        pass

    return Local()


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (FunctionTransformer(lambda x: x), "define the function at module level"),
        (nested(), "cannot be saved by skops"),
        (LogisticRegression(class_weight={False: 1.0, True: 2.0}), "comes back from skops as another"),
    ],
)
def test_an_estimator_that_would_not_come_back_is_refused(estimator, message):
    with pytest.raises(PipelineError, match=rf"node 'a', parameter estimator: .*{message}"):
        encoded(estimator)
