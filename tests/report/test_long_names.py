"""The page with a class name of any length, in a browser."""


def test_a_long_name_leaves_the_table_of_classes_as_wide_as_a_screen(open_page, study_directory):
    page = open_page(study_directory / "report.html")
    lengthen = """table => {
      table.querySelector("tbody th button").textContent = "x".repeat(10000);
      table.querySelector("tbody td.text").textContent = "w w".repeat(5000);
      return table.scrollWidth;
    }"""
    assert page.locator("#classes").evaluate(lengthen) < 2000
