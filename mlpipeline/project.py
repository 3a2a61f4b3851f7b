"""Project: `mlp.config` read once, and the only owner of paths."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlpipeline.errors import ConfigError, ModelDirError, ScriptError, did_you_mean
from mlpipeline.files import config_lines, parse_config

CONFIG_FILE = "mlp.config"
RESULT_FILE = ".mlp-result.json"
PROGRESS_FILE = ".mlp-progress.json"
METRICS_FILE = "metrics.jsonl"
ARTIFACTS_FOLDER = "artifacts"
_KEYS = {"MLP": ("models_dir", "outputs_dir"), "TRACKING": ("mlflow_uri",), "NOTIFY": ("command",)}
_EXAMPLES = {"mlflow_uri": "sqlite:///outputs/mlflow.db", "command": "notify-send finished"}
_LONGEST_NAME_BYTES = 200


@dataclass(frozen=True)
class Project:
    """A folder with `mlp.config`, the scripts it names and the outputs of their runs.

    Args:
        root: the project folder, absolute; runs have it as working directory.
        models_dir, outputs_dir: absolute.
        host: this machine's name, as it stands in file names.
        mlflow_uri: where runs are tracked too, relative to the root; empty for nowhere. It may hold a password.
        notify_command: a shell command that gets each record that ends, as JSON on standard input; empty for none.
    """

    root: Path
    models_dir: Path
    outputs_dir: Path
    host: str
    mlflow_uri: str = ""
    notify_command: str = ""

    @property
    def log_file(self) -> Path:
        return self.outputs_dir / f"log-{self.host}"

    @property
    def output_file(self) -> Path:
        return self.outputs_dir / f"output-{self.host}"

    @property
    def history_file(self) -> Path:
        return self.outputs_dir / f"history-{self.host}"

    @property
    def status_file(self) -> Path:
        return self.outputs_dir / f"status-{self.host}.json"

    @property
    def index_file(self) -> Path:
        """What `reports` has read of the journals; it may be deleted at any time."""
        return self.outputs_dir / f".index-{self.host}.sqlite"

    @property
    def mlflow_log_file(self) -> Path:
        """What the uploads to MLflow that a daemon has started say."""
        return self.outputs_dir / f"mlflow-{self.host}.log"

    @property
    def mlflow_lock_file(self) -> Path:
        """Held by the one process that uploads."""
        return self.outputs_dir / ".mlflow.lock"

    @property
    def mlflow_artifacts_dir(self) -> Path:
        """Where the artifacts of MLflow lie if it is a database and no server."""
        return self.outputs_dir / "mlflow-artifacts"

    def mlflow_uploads_file(self, digest: str) -> Path:
        """Return the list of what was uploaded to a place, named by a digest; it may be deleted at any time."""
        return self.outputs_dir / f".mlflow-uploads-{digest}"

    @property
    def model_ckpts_dir(self) -> Path:
        return self.outputs_dir / "model_ckpts"

    def history_files(self) -> list[Path]:
        """Return the journals of all hosts that share the outputs directory."""
        return sorted(path for path in self.outputs_dir.glob("history-*") if not path.is_dir())

    def script_path(self, script: str) -> Path:
        """Return where a script lies. Raises: ScriptError: it would lie outside the models directory."""
        if Path(script).is_absolute() or ".." in Path(script).parts:
            raise ScriptError(f"{script} leads outside {self.models_dir}; name scripts relative to that folder")
        return self.models_dir / script

    def model_dir(self, script: str, suffix: str) -> Path:
        """Return the folder in which the runs of a version keep their files.

        Raises: ModelDirError: it would lie outside the outputs directory, or its name is too long for a file system.
        """
        if ("/" in suffix and ".." in suffix.split("/")) or not suffix.isprintable():
            raise ModelDirError(
                f"{script}: the suffix {suffix!r} leads outside {self.model_ckpts_dir}; "
                "choose a printable one without '..'"
            )
        # a suffix is part of one name: a folder within the folder of another version would share its fate
        name = f"{script.removesuffix('.py')}-{folder_suffix(suffix)}"
        path = self.model_ckpts_dir / name
        parts = Path(name).parts
        if ".." in parts or "\0" in name or not path.resolve().is_relative_to(self.model_ckpts_dir.resolve()):
            raise ModelDirError(
                f"the folder {name!r} of {script} would lie outside {self.model_ckpts_dir}; choose another suffix"
            )
        if any(len(part.encode()) > _LONGEST_NAME_BYTES for part in parts):
            raise ModelDirError(
                f"{script}: the folder name {name[:40]}... is longer than {_LONGEST_NAME_BYTES} bytes; "
                "give the version a shorter name or a model_dir_suffix"
            )
        return path

    def study_file(self, script: str, source_digest: str) -> Path:
        """Return where the searches of a script, as its sources are, keep their studies."""
        name = f"{script.removesuffix('.py')}-{source_digest[:12]}.journal"
        return self.outputs_dir / "studies" / name

    def recorded_dir(self, text: object) -> Path | None:
        """Return the model directory that a record names, relative to the outputs; None if it is none of ours."""
        if not isinstance(text, str) or not text.isprintable():
            return None
        if any(part == ".." or len(part.encode()) > _LONGEST_NAME_BYTES for part in Path(text).parts):
            return None
        path = self.outputs_dir / text
        return path if path.is_relative_to(self.model_ckpts_dir) and path != self.model_ckpts_dir else None

    def lock_file(self, model_dir: Path) -> Path:
        """Return the file that a daemon locks while it owns a model directory.

        It lies beside the directories, since a script may delete its own.
        """
        relative = model_dir.relative_to(self.model_ckpts_dir)
        return self.model_ckpts_dir / ".locks" / f"{relative}.lock"


def folder_suffix(suffix: str) -> str:
    """Return a version's suffix as it stands in the name of its model directory."""
    return suffix.replace("%", "%25").replace("/", "%2F")


def load_project(root: Path) -> Project:
    """Read `mlp.config` in a folder; without the file the defaults hold.

    Raises: ConfigError: the folder is none, or the file has a line without meaning or an unknown key.
    """
    root = root.resolve()
    if not root.is_dir():
        raise ConfigError(f"{root} is not a folder; give the project folder with -C DIR")
    settings = _settings(root / CONFIG_FILE)
    return Project(
        root=root,
        models_dir=_folder(root, settings, "models_dir", "models"),
        outputs_dir=_folder(root, settings, "outputs_dir", "outputs"),
        host=re.sub(r"[^\w.-]", "_", socket.gethostname()) or "localhost",
        mlflow_uri=settings.get("mlflow_uri", ""),
        notify_command=settings.get("command", ""),
    )


def require_configuration(project: Project, names: Iterable[str]) -> None:
    """Raises: ConfigError: the project folder holds none of the configuration files."""
    if not any((project.root / name).exists() for name in (CONFIG_FILE, *names)):
        raise ConfigError(
            f"{project.root} is no project: it has none of {', '.join((CONFIG_FILE, *names))}; "
            "give the project folder with -C DIR, or begin a new project with `mlpipeline init`"
        )


def _settings(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    parser = parse_config(text, path.name)
    for line, section, key in config_lines(text):
        if section not in _KEYS:
            expected = f"expected the section {' or '.join(f'[{name}]' for name in _KEYS)}, but got [{section}]"
            raise ConfigError(f"{path.name} line {line}: {expected}")
        known = _KEYS[section]
        if key and key not in known:
            raise ConfigError(f"{path.name} line {line}: {key} is not a key of [{section}]{did_you_mean(key, known)}")
        if key and not parser[section].get(key):
            example = _EXAMPLES.get(key, "models")
            raise ConfigError(f"{path.name} line {line}: {key} needs a value, as in `{key} = {example}`")
    return {key: value for section in parser.sections() for key, value in parser[section].items()}


def _folder(root: Path, settings: dict[str, str], key: str, default: str) -> Path:
    value = settings.get(key, default)
    try:
        return (root / Path(value).expanduser()).resolve()
    except RuntimeError as error:  # ~name of a user that there is not
        raise ConfigError(f"{CONFIG_FILE}: {key} is {value}, which is no folder: {error}") from None
