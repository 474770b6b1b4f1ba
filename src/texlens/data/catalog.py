"""Public data sets of formulas and captions: where they are, how large, under which license, with which defects.

Sources: the README files of the data sets on the hubs, read in November 2026; leaks as `texlens data validate` counts
them. A field that they do not state is None.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class CatalogEntry:
    """`command` imports it; `defects` are known before any row is read."""

    name: str
    holds: str
    huggingface: str | None
    modelscope: str | None
    subset: str | None
    rows: str
    license: str | None
    command: str
    defects: str = ""

    def to_json(self) -> dict:
        return asdict(self)


LATEX_OCR = ("linxy/LaTeX_OCR", "AI-ModelScope/LaTeX_OCR")

CATALOG = (
    CatalogEntry(
        "LaTeX_OCR small",
        "printed formulas, to try things out",
        *LATEX_OCR,
        "small",
        "train 50, validation 30, test 30",
        "apache-2.0",
        "texlens data import linxy/LaTeX_OCR --subset small -o data/small",
        "validation and test are the first 30 train rows",
    ),
    CatalogEntry(
        "LaTeX_OCR full",
        "printed formulas",
        *LATEX_OCR,
        "full",
        "train 76,318, validation 8,475, test 9,443",
        "apache-2.0",
        "texlens data import linxy/LaTeX_OCR --subset full -o data/full",
    ),
    CatalogEntry(
        "LaTeX_OCR synthetic_handwrite",
        "formulas in a handwriting font",
        *LATEX_OCR,
        "synthetic_handwrite",
        "about 95,400 in three splits",
        "apache-2.0",
        "texlens data import linxy/LaTeX_OCR --subset synthetic_handwrite -o data/synthetic",
    ),
    CatalogEntry(
        "LaTeX_OCR human_handwrite",
        "handwritten formulas",
        *LATEX_OCR,
        "human_handwrite",
        "train 1,200, validation 68, test 70",
        "apache-2.0",
        "texlens data import linxy/LaTeX_OCR --subset human_handwrite -o data/handwriting",
        "all 23 different test labels are also in train; split by label",
    ),
    CatalogEntry(
        "UniMER",
        "printed, screen and handwritten formulas",
        "wanderkid/UniMER_Dataset",
        None,
        None,
        "train 1,061,791, test 23,757 (SPE 6,762, CPE 5,921, SCE 4,742, HWE 6,332)",
        "apache-2.0",
        "texlens data convert UniMER-Test.zip -o data/unimer",
        "two zip files, to be downloaded first; HME100K's part is left out for its copyright",
    ),
    CatalogEntry(
        "MathWriting (human)",
        "handwritten formulas, drawn from ink",
        "deepcopy/MathWriting-human",
        None,
        None,
        "train 229,864, validation 15,674, test 7,644",
        None,
        "texlens data import deepcopy/MathWriting-human -o data/mathwriting",
    ),
    CatalogEntry(
        "im2latex-100k",
        "printed formulas of arXiv papers",
        "yuntian-deng/im2latex-100k",
        None,
        None,
        "train about 55,000, validation 6,070, test 6,810",
        None,
        "texlens data import yuntian-deng/im2latex-100k -o data/im2latex",
    ),
    CatalogEntry(
        "CROHME",
        "handwritten formulas as ink (InkML)",
        None,
        None,
        None,
        "train 8,834 as UniMER counts them",
        None,
        "texlens data convert CROHME/ -o data/crohme",
        "from the competition's own archive; strokes are drawn when rows are read",
    ),
    CatalogEntry(
        "HME100K",
        "photographs of handwritten formulas",
        None,
        None,
        None,
        "train 74,502 as UniMER counts them",
        None,
        "texlens data convert HME100K/ -o data/hme100k",
        "only from its publisher, after registration",
    ),
    CatalogEntry(
        "Uni-MuMER-Data",
        "handwritten formulas with tree, error and counting tasks",
        "phxember/Uni-MuMER-Data",
        None,
        None,
        "1 to 10 million",
        None,
        "texlens data import phxember/Uni-MuMER-Data --subset NAME -o data/unimumer",
        "several subsets; name one",
    ),
    CatalogEntry(
        "COCO captions 2014",
        "photographs with five captions each",
        None,
        "modelscope/coco_2014_caption",
        None,
        "train 82,783, validation 40,504",
        None,
        "texlens data import annotations/captions_train2014.json -o data/coco",
        "the images have licenses of their own",
    ),
)
