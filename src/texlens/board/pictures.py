"""Images for the pages: decoded under the limits of all images and sent as PNG; no file of a user is sent as it is."""

import io

from fastapi.responses import Response
from PIL import Image

from texlens.data.lazy_image import LazyImage
from texlens.serve.assets import HEADERS

MAX_SIDE_PX = 1600


def png_answer(image: LazyImage, max_side: int = MAX_SIDE_PX) -> Response:
    """
    Raises:
        DataError: not a readable image.
    """
    picture = image.load()
    scale = min(1.0, max_side / max(picture.size))
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return Response(file.getvalue(), media_type="image/png", headers=HEADERS)
