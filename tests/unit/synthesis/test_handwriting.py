from texlens.synthesis import RowRecipe, SampleGenerator


def test_handwriting_is_only_asked_for_what_there_are_strokes_for():
    generator = SampleGenerator(RowRecipe("handwriting"))
    assert {generator.make(number).columns["attempt"] for number in range(40)} == {0}
