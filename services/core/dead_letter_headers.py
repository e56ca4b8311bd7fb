"""Headers of messages in the queue `dead`: who put them there, and why.

RabbitMQ adds X_DEATH itself, a list of {reason, queue, count, exchange, routing-keys}, to what it
dead-letters. Workers that refuse a message publish it to DEAD_EXCHANGE with the REFUSAL headers,
its body, content type and other headers unchanged.
"""

DEAD_EXCHANGE = "shelflens.dead"
DEAD_QUEUE = "dead"

X_DEATH = "x-death"

# Of messages that a worker refused.
REASON = "x-shelflens-reason"  # UPPER_SNAKE, one of REFUSALS
DETAIL = "x-shelflens-detail"  # for people, at most DETAIL_LENGTH characters
QUEUE = "x-shelflens-queue"  # that it was taken from
ROUTING_KEY = "x-shelflens-routing-key"
DEATH_ID = "x-shelflens-death-id"  # the same for every publication of one refusal
# Of messages that a person put back: the id of the letter.
RETRY_OF = "x-shelflens-retry-of"

# Of messages whose properties cannot be read: these in base64, and there are no others.
UNREADABLE = "x-shelflens-unreadable"

REFUSAL_HEADERS = (REASON, DETAIL, QUEUE, ROUTING_KEY, DEATH_ID)

# All that a retry takes off.
DEATH_HEADERS = (
    X_DEATH,
    "x-first-death-reason",
    "x-first-death-queue",
    "x-first-death-exchange",
    "x-last-death-reason",
    "x-last-death-queue",
    "x-last-death-exchange",
    "x-delivery-count",
    *REFUSAL_HEADERS,
)

DETAIL_LENGTH = 1_000

# The reasons of workers.
UNDECODABLE = "UNDECODABLE"  # no JSON, or not the shape of a task
CONTENT_TYPE_REFUSED = "CONTENT_TYPE_REFUSED"  # pickle and everything else but JSON
UNKNOWN_TASK = "UNKNOWN_TASK"
UNKNOWN_SCHEMA = "UNKNOWN_SCHEMA"
BAD_MESSAGE = "BAD_MESSAGE"  # of a known schema, with missing or wrong fields
TOO_LARGE = "TOO_LARGE"

# The reasons of the broker, from X_DEATH.
REJECTED = "REJECTED"
DELIVERY_LIMIT = "DELIVERY_LIMIT"
EXPIRED = "EXPIRED"
QUEUE_FULL = "QUEUE_FULL"
UNROUTABLE = "UNROUTABLE"  # by an alternate exchange: without X_DEATH
BROKER_REASONS = {
    "rejected": REJECTED,
    "delivery_limit": DELIVERY_LIMIT,
    "expired": EXPIRED,
    "maxlen": QUEUE_FULL,
}
REFUSALS = (
    UNDECODABLE,
    CONTENT_TYPE_REFUSED,
    UNKNOWN_TASK,
    UNKNOWN_SCHEMA,
    BAD_MESSAGE,
    TOO_LARGE,
)
