"""What a model script may call besides its model: `log`, colours, and its own folder on the path."""

from __future__ import annotations

import inspect
import logging
import re
import sys
from pathlib import Path

LOGGER_NAME = "mlp"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class console_colors:  # noqa: N801  (the documented name)
    """ANSI escape sequences for `log(..., modifier_1=console_colors.BOLD)`."""

    RESET = "\033[0m"
    BOLD = "\033[1m"
    BLACK_FG = "\033[30m"
    RED_FG = "\033[31m"
    GREEN_FG = "\033[32m"
    YELLOW_FG = "\033[33m"
    BLUE_FG = "\033[34m"
    MAGENTA_FG = MEGENTA_FG = "\033[35m"
    CYAN_FG = "\033[36m"
    WHITE_FG = "\033[37m"
    BLACK_BG = "\033[40m"
    RED_BG = "\033[41m"
    GREEN_BG = "\033[42m"
    YELLOW_BG = "\033[43m"
    BLUE_BG = "\033[44m"
    MAGENTA_BG = MEGENTA_BG = "\033[45m"
    CYAN_BG = "\033[46m"
    WHITE_BG = "\033[47m"


class _Stdout(logging.Handler):
    """Write to whatever sys.stdout is at that moment, as print does."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stdout.write(self.format(record) + "\n")


class _PlainFormatter(logging.Formatter):
    """A file gets no colours."""

    def format(self, record: logging.LogRecord) -> str:
        return _ESCAPES.sub("", super().format(record))


def log(
    message: object,
    level: int = logging.INFO,
    log_to_file: bool = True,
    agent: str | None = None,
    modifier_1: str | None = None,
    modifier_2: str | None = None,
) -> None:
    """Write a line to the run's output and, in a recorded run, to the log of the outputs directory.

    Args:
        message: what to say.
        level: one of the levels of `logging`.
        log_to_file: False keeps the line out of the log file.
        agent: who says it, set before the message.
        modifier_1: a member of `console_colors`.
        modifier_2: another.
    """
    text = f"{agent}- {message}" if agent else str(message)
    if modifier_1 or modifier_2:
        text = f"{modifier_1 or ''}{modifier_2 or ''}{text}{console_colors.RESET}"
    _logger().log(level, "%s", text, extra={"to_file": log_to_file})


def log_to(path: Path | None, who: str) -> None:
    """Send what `log` writes to a file as well, from now on.

    Args:
        path: the file, opened with the first message; None for none.
        who: the run, named in each line of the file.
    """
    logger = _logger()
    for handler in list(logger.handlers):
        if isinstance(handler, logging.FileHandler):
            logger.removeHandler(handler)
            handler.close()
    if path is not None:
        handler = logging.FileHandler(path, delay=True, encoding="utf-8", errors="backslashreplace")
        handler.addFilter(lambda record: getattr(record, "to_file", True))
        handler.setFormatter(_PlainFormatter(f"%(asctime)s %(levelname)s {who.replace('%', '%%')}: %(message)s"))
        logger.addHandler(handler)


def add_script_dir_to_PATH(current_dir: str | None = None) -> None:  # noqa: N802  (the documented name)
    """Make modules in a folder importable.

    Args:
        current_dir: the folder; the caller's own if None.
    """
    folder = current_dir or str(Path(inspect.stack()[1].filename).resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _logger() -> logging.Logger:
    logger = logging.getLogger(LOGGER_NAME)
    if not logger.handlers:
        handler = _Stdout()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger
