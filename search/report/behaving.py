"""What the winner does over the time of one example: two heat maps for the report."""

from search.report.drawing import Figure, plain
from search.report.sections import Chart, Section
from search.store.behaviour import Behaviour

HIDDEN_COLOURS = [[0.0, "#2c80b4"], [0.5, "#f2f2f0"], [1.0, "#d0702a"]]
GRADIENT_COLOURS = [[0.0, "#f2f2f0"], [1.0, "#2c80b4"]]


def behaviour_section(found: Behaviour | None) -> Section | None:
    """The heat maps; None where nothing was kept."""
    if found is None:
        return None
    hidden = Chart(
        "hidden",
        f"The {len(found.hidden)} hidden units that change most, row by row; alike ones stand "
        "together.",
        _hidden_words(found),
        draw_heat(found.hidden, found, HIDDEN_COLOURS, middle=True),
        height=300,
    )
    gradient = Chart(
        "gradient",
        "How much the loss of the example would move with the input at each step.",
        _gradient_words(found),
        draw_heat([found.gradient], found, GRADIENT_COLOURS, middle=False),
        height=110,
    )
    lead = (
        f"The winner ({found.family}) reads example {found.example} of the validation split, "
        f"{found.steps} steps long."
    )
    return Section("behaviour", "Inside the winner", lead=lead, charts=[hidden, gradient])


def draw_heat(
    rows: list[list[float]], found: Behaviour, colours: list[list[object]], *, middle: bool
) -> Figure:
    """Rows of cells over time; with `middle`, 0 has the colour in the middle."""
    width = found.steps / len(rows[0])
    most = max(abs(value) for row in rows for value in row) or 1.0
    trace = {
        "type": "heatmap",
        "z": rows,
        "x": [1 + width * (place + 0.5) - 0.5 for place in range(len(rows[0]))],
        "zmin": -most if middle else 0,
        "zmax": most,
        "colorscale": colours,
        "showscale": False,
        "hovertemplate": plain("step %{x:.0f}, %{z:.3g}") + "<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "step"}, "showgrid": False},
        "yaxis": {"visible": False},
    }
    return {"data": [trace], "layout": layout}


def _hidden_words(found: Behaviour) -> str:
    low = min(value for row in found.hidden for value in row)
    high = max(value for row in found.hidden for value in row)
    return (
        f"A heat map of {len(found.hidden)} hidden units over {found.steps} steps; their values go "
        f"from {low:.3g} to {high:.3g}."
    )


def _gradient_words(found: Behaviour) -> str:
    parts = len(found.gradient)
    peak = max(range(parts), key=found.gradient.__getitem__)
    half = sum(value >= 0.5 for value in found.gradient)
    return (
        f"A heat map of one row over {found.steps} steps. The loss depends most on step "
        f"{round(1 + found.steps * (peak + 0.5) / parts - 0.5)}; {half} of {parts} parts of the "
        "example matter at least half as much."
    )
