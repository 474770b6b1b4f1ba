from PIL import Image

from texlens.augment import BUCKETS, bucket_pad, ink_box, tight_pad


def test_a_formula_lies_four_pixels_into_the_first_bucket_that_holds_it():
    image = Image.new("L", (300, 200), 255)
    image.paste(0, (50, 60, 50 + 153, 60 + 20))

    padded = bucket_pad(image)

    assert padded.size == (200, 40)
    assert ink_box(padded) == (4, 4, 157, 24)


def test_a_formula_that_no_bucket_holds_keeps_its_size():
    image = Image.new("L", (700, 50), 255)
    image.paste(0, (5, 5, 695, 45))

    assert bucket_pad(image).size == (698, 48)
    assert tight_pad(image, 2).size == (694, 44)


def test_buckets_are_in_the_order_of_search():
    assert list(BUCKETS) == sorted(BUCKETS)
