"""How faults are told: the text a user sees."""

from pathlib import Path

from neuralfw.errors import UserError
from neuralfw.recipe.faults import Fault, Origin, RecipeError

FILE = Path("recipes/idr.toml")


def in_file(line: int, text: str, part: str, label: str = "recipes/idr.toml") -> Origin:
    column = text.index(part) + 1
    return Origin(Path(label), line, column, column + len(part), text, label)


def on_command_line(number: int, text: str) -> Origin:
    return Origin(None, line=number, text=text, label=f"override {number}")


def test_all_faults_are_told_at_once_in_order() -> None:
    error = RecipeError(
        [
            Fault(on_command_line(2, "optim.lr=1e-3x"), "expected a positive number"),
            Fault(
                in_file(13, 'renderer = "sphere_tracin"', '"sphere_tracin"'),
                'no renderer "sphere_tracin"',
                closest=["sphere_trace"],
                hint="it comes with neuralfw-idr: pip install neuralfw-idr",
            ),
            Fault(
                in_file(11, "  n_freq = 6", "n_freq"),
                '[fields.sdf.encoder] has no key "n_freq"          (core/frequency)',
                allowed=["bands", "include_input"],
                closest=["bands"],
            ),
        ]
    )
    assert isinstance(error, UserError)
    assert str(error) == (
        'recipes/idr.toml:11:3  [fields.sdf.encoder] has no key "n_freq"          (core/frequency)\n'
        "    11 |   n_freq = 6\n"
        "       |   ^^^^^^  closest: bands      allowed: bands, include_input\n"
        'recipes/idr.toml:13:12  no renderer "sphere_tracin"\n'
        '    13 | renderer = "sphere_tracin"\n'
        "       |            ^^^^^^^^^^^^^^^  closest: sphere_trace\n"
        "       | it comes with neuralfw-idr: pip install neuralfw-idr\n"
        "override 2  --set optim.lr=1e-3x   expected a positive number\n"
        "2 faults in recipes/idr.toml, 1 on the command line; nothing was started."
    )


def test_an_override_and_a_whole_file_have_no_line_to_show() -> None:
    error = RecipeError(
        [
            Fault(on_command_line(1, "stages.fti.steps=3"), 'no stage "fti"', allowed=("fit",), closest=("fit",)),
            Fault(Origin(FILE, label=str(FILE)), "no such recipe", closest=("recipes/igr.toml",), hint="or igr"),
        ]
    )
    assert str(error) == (
        "recipes/idr.toml  no such recipe\n"
        "       closest: recipes/igr.toml\n"
        "       or igr\n"
        'override 1  --set stages.fti.steps=3   no stage "fti"\n'
        "            closest: fit      allowed: fit\n"
        "1 fault in recipes/idr.toml, 1 on the command line; nothing was started."
    )


def test_the_last_line_counts_by_file() -> None:
    faults = [
        Fault(in_file(n, "a = 1", "a", label=f"{name}.toml"), "wrong") for name, n in [("a", 1), ("b", 1), ("b", 2)]
    ]
    assert str(RecipeError(faults)).endswith("1 fault in a.toml, 2 in b.toml; nothing was started.")
    only = RecipeError([Fault(on_command_line(1, "x"), "expected key=value")])
    assert str(only).endswith("\n1 fault on the command line; nothing was started.")


def test_a_long_line_is_cut_around_the_place() -> None:
    text = "losses = [" + ", ".join(f'{{ type = "loss_{n:02}" }}' for n in range(20)) + "]"
    _, shown, marker = Fault(in_file(7, text, '"loss_10"'), "no such loss").render().split("\n")
    assert len(shown) < 115
    assert shown.startswith("     7 | …") and shown.endswith("…")
    assert shown[marker.index("^") : marker.rindex("^") + 1] == '"loss_10"'


def test_the_marker_stands_below_the_place_after_tabs_and_wide_letters() -> None:
    _, shown, marker = Fault(in_file(1, '\t"日本" = wrong', "wrong"), "not TOML").render().split("\n")
    assert shown == '     1 | \t"日本" = wrong'
    assert marker == "       | \t         ^^^^^"


def test_the_marker_of_the_end_of_a_line_is_one_letter_wide() -> None:
    fault = Fault(Origin(FILE, 1, 6, 7, "a = [", "recipes/idr.toml"), "unclosed")
    assert fault.render().endswith("|      ^")


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in Fault(on_command_line(1, "a=\x1b[31m"), "wrong").render()


def test_of_many_allowed_names_some_are_shown() -> None:
    text = Fault(in_file(1, "a = 1", "a"), "wrong", allowed=[f"k{n}" for n in range(30)]).render()
    assert "k11, … (30 in all)" in text and "k12" not in text
