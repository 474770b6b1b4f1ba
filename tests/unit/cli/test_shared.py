from texlens.cli.shared import message_console, print_json, result_console


def test_json_keeps_letters_of_every_script(capsys):
    print_json({"question": "转换成LaTeX公式", "value": 0.5})
    assert capsys.readouterr().out == '{\n  "question": "转换成LaTeX公式",\n  "value": 0.5\n}\n'


def test_messages_go_to_standard_error_and_results_to_standard_output(capsys):
    message_console().print("reading")
    result_console().print("read")
    assert capsys.readouterr() == ("read\n", "reading\n")


def test_a_long_path_is_not_broken(capsys):
    path = "/a/very/long/folder" * 20
    result_console().print(f"report: {path}")
    assert capsys.readouterr().out == f"report: {path}\n"
