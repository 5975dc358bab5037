"""A classifier that labels pictures of the embedded world for benchmarks.

It was trained on its own renders, apart from every model that `rldf_gym` ships, so that it can
measure them. An import contract keeps generators, perception and learners from using it.

```console
$ python -m benchmarks.judge picture.png --json
```
"""

from benchmarks.judge.network import (
    AXES,
    WEIGHTS,
    Answer,
    Judge,
    JudgeError,
    load_judge,
    similarity,
)

__all__ = ["AXES", "WEIGHTS", "Answer", "Judge", "JudgeError", "load_judge", "similarity"]
