"""A model that is worse than the live one does not go live by accident."""

import pytest

from shelflens import Client
from tests.e2e.judging import CATALOGS, Judged
from tests.e2e.test_deploys import make

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("dataset")]


def test_a_worse_model_is_refused_until_that_is_overridden(client: Client, judged: Judged) -> None:
    client.import_products("gated", judged.gallery).raise_for_error()
    make(client, "two-values", base="base", pca_from=CATALOGS[0], dimension=2)
    photo = judged.present[0][0]
    before = client.search("gated", photo)

    made = client.make_dataset("gated", "gated", judged.queries, allow_absent=True)
    assert made.state == "SUCCEEDED", made
    refused = client.wait_operation(client.deploy("gated", "two-values", gate="gated").name)
    assert refused.error is not None
    assert refused.error.reason == "EVALUATION_GATE"
    assert "map@10" in refused.error.message
    after = client.search("gated", photo)
    assert (after.model, after.results) == ("models/base", before.results)
    (live,) = [each for each in client.list_deployments("gated") if each.state == "LIVE"]
    assert (live.model, live.gate) == ("models/base", None)

    operation = client.deploy("gated", "two-values", gate="gated", override=True)
    done = client.wait_operation(operation.name).raise_for_error().deployment
    assert done is not None
    assert done.gate is not None
    assert (done.gate.passed, done.gate.overridden) == (False, True)
    assert client.search("gated", photo).model == "models/two-values"
