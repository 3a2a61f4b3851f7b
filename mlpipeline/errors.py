"""Every exception that is raised on purpose, under one base."""

from collections.abc import Iterable
from difflib import get_close_matches


class MlpError(Exception):
    """Wrong use, or surroundings that do not allow the work; the message says what to do next."""


class ConfigError(MlpError):
    """A configuration file cannot be read or says something that has no meaning."""


class QueueChangedError(ConfigError):
    """A queue file was changed by somebody else since it was read."""


class VersionError(MlpError):
    """A version is incomplete, doubled or has a value that cannot be used."""


class ScriptError(MlpError):
    """A model script cannot be found, loaded or used."""


class ModelDirError(MlpError):
    """A model directory would lie outside the outputs directory, or cannot be used."""


class RecordError(MlpError):
    """A record cannot be written or read: disk full, no permission, a file in the way."""


class EngineError(MlpError):
    """Runs cannot be started."""


class MetricError(MlpError):
    """A metric is given something that is not a number, or is not there."""


class DataError(MlpError):
    """A data set is missing or is not what was expected."""


class PipelineError(MlpError):
    """A data pipeline is built, fitted, saved or used in a way that cannot work."""


class EnsembleError(MlpError):
    """A bag or fold cannot be planned, trained or put together from what was given."""


class ReportError(MlpError):
    """What is to be shown is not recorded, or cannot be shown as it was asked for."""


class TrackingError(MlpError):
    """A tracking server cannot be reached, or does not take what it is given; a later try may succeed."""


class SearchError(MlpError):
    """A search over parameters is described, or goes on, in a way that cannot work."""


class StorageError(MlpError):
    """The outputs of a pipeline cannot be stored or looked up."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the known word that is nearest, or an empty string."""
    by_lower_case = {name.lower(): name for name in known}
    nearest = get_close_matches(word.lower(), list(by_lower_case), n=1)
    return f"; did you mean {by_lower_case[nearest[0]]}?" if nearest else ""
