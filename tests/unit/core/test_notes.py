from texlens.core.notes import print_note


def test_a_note_is_one_line_on_standard_error_and_printed_once(capsys):
    print_note("a note of this test")
    print_note("a note of this test")
    assert capsys.readouterr() == ("", "texlens: note: a note of this test\n")
