"""Fetches the images of a shard: threads that take one request at a time from the schedule."""

import random
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from email.message import Message
from hashlib import sha256

import structlog

from services.core.domain.errors import InvalidArgument, Unavailable
from services.core.domain.keys import image_key
from services.core.ports import ObjectStore
from services.imaging.limits import ImageLimits
from services.ingestion.fetching.answers import Validators, fresh_seconds, validators_of
from services.ingestion.fetching.connections import Resolve, resolve, tls_context
from services.ingestion.fetching.jobs import Batch, Fetched, Job
from services.ingestion.fetching.limits import FetchLimits
from services.ingestion.fetching.refusals import (
    HOST_FAILURES,
    PASSING,
    RETRIED,
    FetchReason,
    Refused,
)
from services.ingestion.fetching.schedule import Schedule
from services.ingestion.fetching.transfers import Body, Redirect, Transfers, Unchanged
from services.ingestion.fetching.url_memory import Remembered, UrlMemory
from services.ingestion.fetching.urls import Url

_log = structlog.get_logger(__name__)
_LOOK_SECONDS = 0.2
_JOIN_SECONDS = 2.0


class Fetcher:
    """Brings images from addresses into the object store, for all shards of this process.

    Its limits hold over all calls together. Threads start with the first address; call close().
    """

    def __init__(self, objects: ObjectStore, transfers: Transfers, limits: FetchLimits) -> None:
        self.limits = limits
        self._objects = objects
        self._transfers = transfers
        self._memory = UrlMemory(objects)
        self._schedule = Schedule(limits)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._batches: set[Batch] = set()
        self._closed = False

    def fetch(self, urls: Iterable[Url]) -> dict[Url, Fetched]:
        """What became of each address; one that several rows name is asked for once.

        Returns within `shard_seconds` and what a name server takes. Raises what the object store
        raises, and Unavailable when the fetcher is closed meanwhile.
        """
        wanted = dict.fromkeys(urls)
        if not wanted:
            return {}
        batch = Batch(len(wanted), time.monotonic() + self.limits.shard_seconds)
        self._enter(batch)
        try:
            self._schedule.add(Job(url, url, batch) for url in wanted)
            while not batch.wait(max(_LOOK_SECONDS, batch.deadline - time.monotonic())):
                for job in self._schedule.drop(batch):
                    self._finish(job, _out_of_time())
        finally:
            self._schedule.drop(batch)
            with self._lock:
                self._batches.discard(batch)
            self._transfers.close_idle()
        return batch.results

    def close(self) -> None:
        """Ends all fetches with Unavailable."""
        with self._lock:
            self._closed = True
            batches = list(self._batches)
        self._schedule.close()
        for batch in batches:
            batch.fail(_closed())
        self._transfers.close()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:  # one that waits for a name server ends with the process
            thread.join(max(0.0, deadline - time.monotonic()))

    def _enter(self, batch: Batch) -> None:
        with self._lock:
            if self._closed:
                raise _closed()
            self._batches.add(batch)
            if not self._threads:
                self._threads = [
                    threading.Thread(target=self._work, name=f"fetch-{number}", daemon=True)
                    for number in range(self.limits.connections)
                ]
                for thread in self._threads:
                    thread.start()

    def _work(self) -> None:
        while (job := self._schedule.take()) is not None:
            host = job.url.host
            try:
                self._try(job)
            except Exception as error:  # the caller's thread decides what to do about it
                job.batch.fail(error)
            finally:
                self._schedule.release(host)

    def _try(self, job: Job) -> None:
        host = job.url.host
        try:
            self._check_worth(job)
            self._step(job)
        except Refused as refused:
            failed = refused.reason in HOST_FAILURES
            in_a_row = self._schedule.note(host, failed) if _tried(refused) else 0
            too_long = refused.wait is not None and refused.wait > self.limits.longest_wait
            if failed and (in_a_row >= self.limits.host_failures or too_long):
                self._give_up(job.batch, host, refused)
            if not self._again(job, host, refused):
                self._finish(job, refused)

    def _check_worth(self, job: Job) -> None:
        """Raises Refused for a job that came back after its time or its host were given up."""
        now = time.monotonic()
        if now >= job.batch.deadline or job.batch.failed:
            raise _out_of_time()
        if job.url.host in job.batch.given_up:
            raise _down(job.url.host)
        if not job.deadline:
            job.deadline = min(now + self.limits.image_seconds, job.batch.deadline)
            job.known = self._memory.recall(job.first)

    def _step(self, job: Job) -> None:
        """One request. Raises Refused."""
        known = job.known
        if known is not None and known.fresh:
            job.batch.settle(job.first, Fetched(known.sha256))
            return
        host = job.url.host
        validators = known.validators(job.url) if known is not None else Validators()
        answer = self._transfers.get(job.url, validators, job.deadline)
        self._schedule.note(host, failed=False)
        match answer:
            case Redirect(to):
                self._follow(job, to)
            case Body(data, headers):
                digest = self._store(data)
                self._remember(job, digest, headers)
                job.batch.settle(job.first, Fetched(digest, downloaded=True))
            case Unchanged(headers):
                if known is None:
                    raise Refused(FetchReason.BAD_RESPONSE, "unchanged, but from what?")
                self._remember(job, known.sha256, headers)
                job.batch.settle(job.first, Fetched(known.sha256))

    def _follow(self, job: Job, to: Url) -> None:
        job.visited.add(job.url)
        if to in job.visited or len(job.visited) > self.limits.redirects:
            raise Refused(FetchReason.TOO_MANY_REDIRECTS, f"{len(job.visited)} redirects")
        job.url = to
        self._schedule.add([job])  # under the limits of the host that it leads to

    def _store(self, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        if self._objects.size(image_key(digest)) is None:
            self._objects.put(image_key(digest), data)
        return digest

    def _remember(self, job: Job, digest: str, headers: Message) -> None:
        """Writes down what the answer said, if it says anything new."""
        said = validators_of(headers)
        # A redirect may lead elsewhere tomorrow, whatever its target promises.
        promise = fresh_seconds(headers, self.limits.immutable_seconds)
        fresh_until = time.time() + promise if promise and job.url == job.first else 0.0
        learned = Remembered(
            digest, str(job.url), said.etag, said.last_modified, round(fresh_until, 3)
        )
        known = job.known
        if known and not said.headers() and (known.sha256, known.final) == (digest, str(job.url)):
            learned = replace(learned, etag=known.etag, last_modified=known.last_modified)
        if learned != job.known:
            self._memory.keep(job.first, learned)

    def _again(self, job: Job, host: str, refused: Refused) -> bool:
        """Puts the job back if another try is worth it."""
        job.failures += 1
        limits = self.limits
        if refused.reason not in RETRIED or job.failures >= limits.attempts:
            return False
        backoff = min(limits.longest_wait, limits.first_delay * 2.0 ** (job.failures - 1))
        wait = backoff * random.uniform(0.5, 1.0) if refused.wait is None else refused.wait
        due = time.monotonic() + wait
        if refused.reason == FetchReason.RATE_LIMITED or refused.wait is not None:
            self._schedule.pause(host, min(due, time.monotonic() + limits.longest_wait))
        if due >= job.deadline or host in job.batch.given_up:
            return False
        self._schedule.add([job], due)
        return True

    def _give_up(self, batch: Batch, host: str, refused: Refused) -> None:
        """The rest of the shard's images at `host` fail at once."""
        if host in batch.given_up:
            return
        batch.given_up.add(host)
        _log.warning("fetch.host_given_up", host=host, reason=refused.reason, error=refused.detail)
        for job in self._schedule.drop(batch, host):
            self._finish(job, _down(host))

    def _finish(self, job: Job, refused: Refused) -> None:
        """No image; what an earlier import stored goes on if the failure may pass."""
        kept = ""
        if refused.reason in PASSING:
            known = job.known or self._memory.recall(job.first)
            kept = known.sha256 if known else ""
        _log.debug("fetch.refused", url=str(job.url), reason=refused.reason, error=refused.detail)
        job.batch.settle(job.first, Fetched(kept, refused.reason))


def open_fetcher(
    objects: ObjectStore,
    limits: FetchLimits,
    *,
    ca_file: str = "",
    images: ImageLimits | None = None,
    resolve: Resolve = resolve,
) -> Fetcher:
    """A fetcher that trusts the system's authorities and those in `ca_file` (PEM).

    `resolve` tells the addresses of a host. Raises InvalidArgument (BAD_SETTINGS) for a `ca_file`
    that cannot be read.
    """
    try:
        context = tls_context(ca_file)
    except OSError as error:
        raise InvalidArgument(
            f"fetch_ca_file: {ca_file} is no readable PEM file of certificates: {error}",
            reason="BAD_SETTINGS",
        ) from error
    transfers = Transfers(limits, images or ImageLimits(), resolve, context)
    return Fetcher(objects, transfers, limits)


def _tried(refused: Refused) -> bool:
    return refused.reason not in (FetchReason.HOST_DOWN, FetchReason.NOT_TRIED)


def _out_of_time() -> Refused:
    return Refused(FetchReason.NOT_TRIED, "the time for this shard is over")


def _down(host: str) -> Refused:
    return Refused(FetchReason.HOST_DOWN, f"{host} was given up for this shard")


def _closed() -> Unavailable:
    return Unavailable("the worker is stopping: the shard is given to another", reason="STOPPING")
