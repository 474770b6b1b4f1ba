"""The board's pages, in the order of the header.

To add one: a file here with its `BoardPage` and routes, `web/pages/NAME.js`, `web/words/NAME.js` (named in
`web/words.js`), and an entry below.
"""

from texlens.board.pages import compare, data, learn, new_run, run, runs
from texlens.board.pages.protocol import BoardPage

PAGES: tuple[BoardPage, ...] = (runs.PAGE, run.PAGE, new_run.PAGE, compare.PAGE, data.PAGE, learn.PAGE)
