from collections.abc import Iterator

from tests.fixtures.drawn_images import drawn
from tests.fixtures.tiny_models import tiny_model
from texlens.data.sample import LazyImage, Sample
from texlens.inference.open import ServedModel
from texlens.inference.reader import SORTED_BATCHES, Reader

IMAGE = drawn(120, 40)


def test_a_stream_is_read_a_few_batches_at_a_time():
    model, processor = tiny_model()
    reader = Reader(model, ServedModel("tiny", processor, "Read this.", None, 2))
    taken: list[str] = []

    def samples(count: int) -> Iterator[Sample]:
        for number in range(count):
            taken.append(str(number))
            image = IMAGE if number else b"broken"
            yield Sample(str(number), LazyImage.from_bytes(image, str(number)), "")

    made = []
    for prediction in reader.stream(samples(2 * SORTED_BATCHES + 1), batch_size=1):
        made.append(prediction)
        assert len(taken) <= -(-len(made) // SORTED_BATCHES) * SORTED_BATCHES

    assert sorted(one.id for one in made) == sorted(taken)
    assert [one.id for one in made if one.stop == "failed"] == ["0"]
