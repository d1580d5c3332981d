"""Turn a GGUF file into a directory of safetensors, once, and check it on every later use.

transformers de-quantises a GGUF anew each time that it is opened, which takes longer than the answers one wants from
it. The weights are kept in float32, since de-quantised numbers do not fit a shorter format exactly. A manifest holds
the digest of the source and of every file written; the directory appears under its name only when it is complete.

Source: our own. Cost: seconds to minutes once, and four bytes a parameter on disk. Needs: the extra `torch`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput
from ponder.core.registry import need

__all__ = ["cache_directory", "converted", "quiet", "sha256"]

logger = logging.getLogger(__name__)

_MANIFEST = "manifest.json"
_FORMAT = 1  # raise it when what is written changes


def cache_directory() -> Path:
    """Return where files that can be made again are kept: $PONDER_CACHE, or `ponder` in the user's cache."""
    if given := os.environ.get("PONDER_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ponder"


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hex; it is read again only when its size or time has changed."""
    file = file.resolve()
    stat = file.stat()
    state = [str(file), stat.st_size, stat.st_mtime_ns]
    memo = cache_directory() / "digests" / f"{hashlib.sha256(os.fsencode(file)).hexdigest()[:32]}.json"
    try:
        known = json.loads(memo.read_text())
        if known["state"] == state:
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no memo, or one that cannot be read: make it anew
    digest = _read_digest(file)
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        _write(memo, json.dumps({"state": state, "sha256": digest}))
    except OSError as err:
        logger.info("the digest of %s is not kept: %s", file, err)
    return digest


def converted(gguf: Path) -> Path:
    """Return a transformers directory with the weights and tokenizer of a GGUF file, made on first use.

    Raises:
        BadInput: the file is missing, or transformers cannot read it.
        MissingExtra: the extra `torch` is not installed.
    """
    if not gguf.is_file():
        raise BadInput(f"there is no file {str(gguf)!r}")
    digest = sha256(gguf)
    target = cache_directory() / "converted" / f"{gguf.stem}-{digest[:16]}"
    if _intact(target, digest):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    logger.info("converting %s to safetensors in %s", gguf, target)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as scratch:
        made = Path(scratch) / "model"
        made.mkdir()
        _convert(gguf, made)
        files = {file.name: _read_digest(file) for file in _files(made)}
        manifest = {"format": _FORMAT, "source": {"name": gguf.name, "sha256": digest}, "files": files}
        (made / _MANIFEST).write_text(json.dumps(manifest, indent=1))
        if target.exists() and not _intact(target, digest):
            shutil.rmtree(target)  # broken or of an older format
        try:
            made.rename(target)
        except OSError:
            if not _intact(target, digest):  # else another process was faster: its files are as good
                raise
    return target


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing progress bars."""
    bars = need("transformers", extra="torch", feature="this model").utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _intact(target: Path, source: str) -> bool:
    """Return whether `target` holds a complete and unchanged conversion of the file with digest `source`."""
    try:
        manifest = json.loads((target / _MANIFEST).read_text())
        files = manifest["files"]
        if manifest["format"] != _FORMAT or manifest["source"]["sha256"] != source:
            return False
        return bool({file.name: sha256(file) for file in _files(target)} == files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _files(directory: Path) -> Iterable[Path]:
    return (file for file in sorted(directory.iterdir()) if file.name != _MANIFEST)


def _read_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _convert(gguf: Path, target: Path) -> None:
    feature = "opening a GGUF file with transformers"
    torch, transformers = (need(name, extra="torch", feature=feature) for name in ("torch", "transformers"))
    for name in ("gguf", "accelerate", "safetensors"):  # transformers imports them by itself
        need(name, extra="torch", feature=feature)
    where: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    dense: dict[str, Any] = {}
    if hasattr(transformers, "GgufConfig"):  # newer releases keep the blocks packed unless told
        dense["quantization_config"] = transformers.GgufConfig(dequantize=True)
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, **where)
            packed = transformers.AutoModelForCausalLM.from_pretrained(
                gguf.parent, dtype=torch.float32, **where, **dense
            )
    except (OSError, ValueError, KeyError, RuntimeError) as err:
        raise BadInput(f"transformers cannot read {str(gguf)!r}: {err}") from err
    # A model that came from a GGUF refuses to be saved; its weights in a new model of the same shape do not.
    if hasattr(packed.config, "quantization_config"):
        del packed.config.quantization_config
    module = transformers.AutoModelForCausalLM.from_config(packed.config, dtype=torch.float32)
    module.load_state_dict(packed.state_dict(), assign=True)
    module.tie_weights()
    module.generation_config = packed.generation_config
    with quiet():
        module.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _write(file: Path, text: str) -> None:
    """Write a file so that no reader ever sees a part of it."""
    descriptor, scratch = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    Path(scratch).replace(file)
