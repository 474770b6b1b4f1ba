"""Public data sets of formulas and captions: where they are, how large, under which license, with which defects.

Sources: the pages named in `sources`, read in November 2026; leaks as `texlens data validate` counts them. A field that
the pages do not state is None; what no page could be read for is in `unverified`, and said when the entry is printed.
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
    sources: tuple[str, ...] = ()
    unverified: str = ""
    """What is said here and on no page that could be read."""

    def to_json(self) -> dict:
        return asdict(self)


LATEX_OCR = ("linxy/LaTeX_OCR", "AI-ModelScope/LaTeX_OCR")
LATEX_OCR_PAGES = ("huggingface.co/datasets/linxy/LaTeX_OCR",)
UNIMER_PAGES = ("huggingface.co/datasets/wanderkid/UniMER_Dataset",)
SAME_ON_MODELSCOPE = "that the rows on ModelScope are the same"

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
        size="0.6 MB",
        sources=LATEX_OCR_PAGES,
        unverified=SAME_ON_MODELSCOPE,
    ),
    CatalogEntry(
        "LaTeX_OCR full",
        "printed formulas",
        *LATEX_OCR,
        "full",
        "train 76,318, validation 8,475, test 9,443",
        "apache-2.0",
        "texlens data import linxy/LaTeX_OCR --subset full -o data/full",
        "the subset default holds the train rows alone",
        size="0.47 GB",
        sources=LATEX_OCR_PAGES,
        unverified=SAME_ON_MODELSCOPE,
    ),
    CatalogEntry(
        "LaTeX_OCR synthetic_handwrite",
        "formulas in a handwriting font",
        *LATEX_OCR,
        "synthetic_handwrite",
        "about 95,400: train about 76,300, validation 9,565, test 9,593",
        "apache-2.0",
        "texlens data import linxy/LaTeX_OCR --subset synthetic_handwrite -o data/synthetic",
        size="0.62 GB",
        sources=LATEX_OCR_PAGES,
        unverified=SAME_ON_MODELSCOPE,
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
        size="18 MB",
        sources=LATEX_OCR_PAGES,
        unverified=SAME_ON_MODELSCOPE,
    ),
    CatalogEntry(
        "LaTeX_OCR human_handwrite_print",
        "the formulas of human_handwrite, printed",
        *LATEX_OCR,
        "human_handwrite_print",
        "train 1,200, validation 68, test 70",
        "apache-2.0",
        "texlens data import linxy/LaTeX_OCR --subset human_handwrite_print -o data/handwriting-printed",
        "all 23 different test labels are also in train; split by label",
        size="1.3 MB",
        sources=LATEX_OCR_PAGES,
        unverified=SAME_ON_MODELSCOPE,
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
        "a zip file, to be downloaded first; HME100K's part is left out for its copyright; 1,166 unreadable images "
        "were removed from it later",
        size="1.99 GB",
        sources=UNIMER_PAGES,
        unverified="whether the count is from before those images were removed",
    ),
    CatalogEntry(
        "UniMER-Test",
        "printed, screen and handwritten formulas to measure on",
        "wanderkid/UniMER_Dataset",
        None,
        None,
        "spe 6,762, cpe 5,921, sce 4,742, hwe 6,332",
        "apache-2.0",
        "texlens data convert UniMER-test.zip -o data/unimer-test",
        "a zip file, to be downloaded first; spe are pix2tex's validation rows, hwe are rows of CROHME and HME100K",
        size="148 MB",
        sources=UNIMER_PAGES,
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
        "its split for validation is called val; the license is that of the ink, which Google publishes in 2.9 GB",
        size="1.25 GB",
        sources=(
            "huggingface.co/datasets/deepcopy/MathWriting-human",
            "github.com/google-research/google-research/tree/master/mathwriting",
        ),
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
        "its split for validation is called val; the original of 103,556 formulas is record 56198 of Zenodo (307 MB)",
        size="0.34 GB",
        sources=("huggingface.co/datasets/yuntian-deng/im2latex-100k", "zenodo.org/record/56198"),
        unverified="the size of the test split, which is taken to be that of validation",
    ),
    CatalogEntry(
        "CROHME",
        "handwritten formulas as ink (InkML)",
        None,
        None,
        None,
        "train 8,834 as UniMER counts them, test 986 (2014), 1,147 (2016), 1,199 (2019)",
        "for research, no commercial use",
        "texlens data convert CROHME/ -o data/crohme",
        "from the competition's own archive, whose strokes are drawn when rows are read, or the community's images; "
        "the test rows of 2014 and 2016 are train and validation rows of CROHME 2019 and 2023",
        size="364 MB (TC11_package_CROHME2019.zip)",
        sources=(
            "isical.ac.in/~crohme/CROHME_data.html",
            "tc11.cvc.uab.es",
            "crohme2023.ltu-ai.dev/data-tools",
        ),
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
        "only from its publisher (ai.100tal.com/dataset), after registration",
        sources=("github.com/Phymond/HME100K",),
        unverified="rows",
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
        "several subsets; name one; test rows come apart from it, as data.zip of github.com/BFlameSwift/Uni-MuMER",
        sources=("github.com/BFlameSwift/Uni-MuMER",),
        unverified="rows, and that no license is stated on the hub",
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
        "the images have licenses of their own; HuggingFaceM4/COCO is a loading script; where a hub has a loading "
        "script alone, which is never run, download the archives from cocodataset.org and name their folder",
        size="13 GB of train images, 6 GB of validation images, 0.2 GB of annotations",
        sources=("cocodataset.org", "tensorflow.org/datasets/catalog/coco_captions"),
        unverified="what the repository on ModelScope holds",
    ),
)
