"""The readable outputs file: a block for each run."""

from __future__ import annotations

from typing import Any

from mlpipeline.records import Record, Result, Status

_RULE = "-" * 43


def output_block(end: Record, result: Result) -> str:
    """Return what the outputs file says of one run."""
    parameters: dict[str, Any] = end.details.get("parameters", {})
    lines = [
        "",
        f"[{result.ended}] {result.status}",
        f"Model: {end.script}",
        f"Version: {end.version}",
    ]
    if result.status == Status.SUCCEEDED:
        lines += [f"Evaluation on train set: {result.outputs.get('train', '')}"]
        lines += [f"Evaluation on test set: {result.outputs.get('test', '')}"]
    else:
        lines += [f"Ended by: {result.error_summary}"]
    lines += [
        _RULE,
        "EXECUTION SUMMARY:",
        f"Number of epochs: {parameters.get('epoc_count')}",
        f"Steps trained: {result.outputs.get('steps', result.steps)}",
        f"Seconds: {result.seconds:.3f}",
        "Parameters:",
        *(f"    {key}: {value}" for key, value in parameters.items()),
        *_section("MODEL SUMMARY:", result.outputs.get("model summary", "")),
        *_section("DATA LOADER SUMMARY:", result.outputs.get("data loader summary", "")),
        *_section("ERROR:", result.error),
    ]
    return "\n".join(lines)


def _section(heading: str, text: str) -> list[str]:
    return [_RULE, heading, *(f"    {line}" for line in text.splitlines())] if text.strip() else []
