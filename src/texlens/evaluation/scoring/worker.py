"""A process that scores and draws predictions: `python -m texlens.evaluation.scoring.worker`.

Both ends are ours and speak pickle: first the settings, then lists of predictions; each list is answered by a list of
results, until standard input ends.
"""

import pickle
import signal
import sys
from dataclasses import replace

from texlens.evaluation.scoring.row_result import ScoringSettings, row_result

MOST_DRAWN_CHARACTERS = 20_000_000
"""A process draws no more ahead: a report holds no more."""


def main() -> None:
    """Answer until standard input ends; an interrupt is for the process that began this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    try:
        settings: ScoringSettings = pickle.load(source)
        metrics = settings.load()
        drawn = 0
        while True:
            results = [row_result(prediction, settings, metrics) for prediction in pickle.load(source)]
            pickle.dump(results, sink, pickle.HIGHEST_PROTOCOL)
            sink.flush()
            drawn += sum(result.drawn.characters for result in results)
            if drawn > MOST_DRAWN_CHARACTERS:
                settings = replace(settings, draws=False)
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
