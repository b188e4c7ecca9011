"""Tables in Markdown."""

from cliptail_jax.report.layout import Column, Row, Table, cell, markdown, padded_lines


def test_a_table_in_markdown_has_names_with_marks_labels_intervals_and_emphasis():
    columns = [
        Column("bias", "bias", has_interval=True),
        Column("verdict", "verdict", is_strong=True),
        Column("n", "n", only="page"),
    ]
    known = {"bias": cell(1.5, ".1f", (1.0, 2.0)), "verdict": cell("supported"), "n": cell(3, "d")}
    unknown = {"bias": cell(None, ".1f"), "verdict": cell("not tested"), "n": cell(None)}
    table = Table("run", columns, [Row("sl", known, label="SL"), Row("mine", unknown, " (at chance)", ["twice"])])
    assert markdown(table) == [
        "| run | kind | bias [95 %] | verdict |",
        "| --- | --- | --- | --- |",
        "| sl | SL | 1.5 [1.0, 2.0] | **supported** |",
        "| mine (at chance) (twice) |  | – | **not tested** |",
    ]
    unlabelled = table._replace(rows=[row._replace(label="") for row in table.rows])
    assert markdown(unlabelled)[2] == "| sl | 1.5 [1.0, 2.0] | **supported** |"


def test_columns_are_as_wide_as_a_terminal_shows_their_characters():
    rows = [["class", "n"], ["猫", "10"], ["タコ", "2"], ["e\u0301tude", "3"]]
    assert padded_lines(rows, "<>") == ["class   n", "猫     10", "タコ    2", "e\u0301tude   3"]
