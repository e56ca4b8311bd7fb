"""A worker of query photos as a process of its own: `python -m tests.servers.query_worker`."""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import torch

from services.core.adapters.file_objects import FileObjects
from services.core.domain.model import Model
from services.core.domain.model_spec import ModelSpec
from services.core.runtime.child_process import Child, die_with_parent, report_ready, start_child
from services.core.runtime.logs import configure_logs
from services.core.runtime.worker_process import run_worker
from services.embedding.explaining import Explainer
from services.embedding.forward_gate import ForwardGate
from services.embedding.handlers import QueryEmbedder
from services.embedding.model_host import ModelHost
from services.embedding.model_store import ModelStore
from services.embedding.query_replies import Replies
from services.embedding.query_tasks import QUERY_QUEUES, QueryAnswers, query_app
from services.imaging.decode_pool import DecodePool
from services.retrieval.linear_store import LinearStore

_READY_SECONDS = 60.0
_STOP_SECONDS = 10.0


def start_query_worker(
    broker_url: str, objects: Path, spec: ModelSpec, weights: Path | None = None, *options: str
) -> Child:
    """Returns when it takes messages. It can embed with every model in `objects`, `options` are
    those of the command."""
    arguments = ["--broker", broker_url, "--objects", str(objects), "--spec", spec.to_json()]
    arguments += ["--weights", str(weights)] if weights else []
    return start_child(
        "tests.servers.query_worker", [*arguments, *options], ready_timeout=_READY_SECONDS
    )


def main() -> int:
    arguments = _arguments()
    die_with_parent(arguments.parent)
    configure_logs("WARNING")
    spec = ModelSpec.from_json(arguments.spec)
    with ExitStack() as opened:
        gate = ForwardGate(arguments.lanes, prepare=lambda: torch.set_num_threads(1))
        opened.callback(gate.close)
        pool = opened.enter_context(DecodePool(arguments.decoders))
        objects = FileObjects(arguments.objects)
        cache = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        store = ModelStore(objects, cache)
        weights = {spec.weights_sha256: arguments.weights} if arguments.weights else {}
        store.publish(Model.plain(spec), weights)
        models = ModelHost(store.load, gate, store.find, LinearStore(objects).of)
        models.load(spec)
        replies = Replies(arguments.broker)
        opened.callback(replies.close)
        explainer = Explainer(objects, pool, models)
        opened.callback(explainer.close)
        answers = QueryAnswers(QueryEmbedder(pool, models, explainer), objects)
        return run_worker(
            query_app(arguments.broker, answers, replies, arguments.prefix),
            QUERY_QUEUES,
            arguments.threads,
            "embedding-query",
            grace=_STOP_SECONDS,
            on_ready=lambda: report_ready(arguments.ready_fd),
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--objects", type=Path, required=True)
    parser.add_argument("--spec", required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--decoders", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
