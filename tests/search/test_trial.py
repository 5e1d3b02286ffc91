import json

from hypothesis import given
from hypothesis import strategies as st

from search.trial import Lease, Outcome, State, Trial

configs = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    ),
    max_size=4,
)
counts = st.integers(0, 10**6)
trials = st.builds(Trial, counts, st.text(), configs, counts, st.none() | counts)
leases = st.builds(Lease, counts, trials, counts, counts, counts, st.booleans())
outcomes = (
    st.builds(
        lambda epoch, test: Outcome.reached(epoch, test=test, test_epoch=epoch),
        counts,
        st.none() | st.dictionaries(st.text(), st.floats(allow_nan=False)),
    )
    | st.builds(Outcome.failed, st.text(), st.text())
    | st.builds(Outcome.lost, st.text())
    | st.builds(Outcome.crowded, st.text())
    | st.builds(Outcome.infeasible, st.text(), st.text())
)


@given(trials)
def test_a_trial_survives_json(trial):
    assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial


@given(leases)
def test_a_lease_survives_json(lease):
    assert Lease.from_json(json.loads(json.dumps(lease.to_json()))) == lease


@given(outcomes)
def test_an_outcome_survives_json(outcome):
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


def test_five_states_are_final():
    final = {"complete", "pruned", "stopped", "failed", "infeasible"}
    assert {state for state in State if state.final} == final


def test_outcomes_say_what_they_are():
    assert Outcome.reached(3).kind == "reached"
    assert Outcome.failed("raised").kind == "failed"
    assert Outcome.lost("node gone").kind == "lost"
