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
    size: str | None = None
    """Of the download, where it is stated or was measured."""

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
        size="0.3 MB",
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
        size="7 MB",
    ),
    CatalogEntry(
        "UniMER-1M",
        "printed, screen and handwritten formulas to train on",
        "wanderkid/UniMER_Dataset",
        None,
        None,
        "train 1,061,791",
        "apache-2.0",
        "texlens data convert UniMER-1M.zip -o data/unimer-1m",
        "a zip file, to be downloaded first; HME100K's part is left out for its copyright",
    ),
    CatalogEntry(
        "UniMER-Test",
        "printed, screen and handwritten formulas to measure on",
        "wanderkid/UniMER_Dataset",
        None,
        None,
        "spe 6,762, cpe 5,921, sce 4,742, hwe 6,332",
        "apache-2.0",
        "texlens data convert UniMER-Test.zip -o data/unimer-test",
        "a zip file, to be downloaded first; spe are pix2tex's validation rows, hwe are rows of CROHME and HME100K",
    ),
    CatalogEntry(
        "MathWriting (human)",
        "handwritten formulas, drawn from ink",
        "deepcopy/MathWriting-human",
        None,
        None,
        "train 229,864, validation 15,674, test 7,644",
        "CC BY-NC-SA 4.0",
        "texlens data import deepcopy/MathWriting-human -o data/mathwriting",
        size="1.25 GB",
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
        size="0.3 GB",
    ),
    CatalogEntry(
        "CROHME",
        "handwritten formulas as ink (InkML)",
        None,
        None,
        None,
        "train 8,834 as UniMER counts them, test 986 (2014), 1,147 (2016), 1,199 (2019)",
        "CC BY-NC-SA 3.0",
        "texlens data convert CROHME/ -o data/crohme",
        "from the competition's own archive, whose strokes are drawn when rows are read, or the community's images",
    ),
    CatalogEntry(
        "HME100K",
        "photographs of handwritten formulas",
        None,
        None,
        None,
        "train 74,502 as UniMER counts them, test 24,607",
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
        "annotations CC BY 4.0",
        "texlens data import modelscope:modelscope/coco_2014_caption -o data/coco",
        "the images have licenses of their own; where the hub has a loading script alone, which is never run, "
        "download the archives from cocodataset.org and name their folder",
        size="13 GB of train images, 6 GB of validation images, 0.2 GB of annotations",
    ),
)
