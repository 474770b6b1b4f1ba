"""Pages and the data that they show."""

from texlens.data.geometry import ImageGeometry
from texlens.data.report.content import inspect
from texlens.data.report.write import write_data_report
from texlens.data.validate.run import Options

HOSTILE = "<script>alert(1)</script>"


def inspect_rows(splits, **options):
    return inspect(splits, Options(ImageGeometry(16)), **options)


def page(splits, path, **options) -> str:
    write_data_report(path, inspect_rows(splits), splits, title="rows", family="qwen3-vl", **options)
    return path.read_text(encoding="utf-8")
