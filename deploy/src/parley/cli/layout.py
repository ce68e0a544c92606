"""The partitions in use: MongoDB has their number, which may be changed while all runs."""

from parley.cli.environment import Environment
from parley.cli.errors import CommandError
from parley.cli.faults import FAULTS, named
from parley.shared import amqp, mongo
from parley.shared.layouts import Layout, Layouts, LayoutsUnavailable
from parley.shared.partitions import HEARTBEAT_SECONDS, Partitions, count_in_use


async def read(env: Environment) -> Layout:
    """Return the layout; the initial one if none is stored yet.

    Raises:
        CommandError: MongoDB is away.
    """
    try:
        with named("MongoDB", "MONGO_URL"):
            async with mongo.connect(env.settings.mongo_url) as database:
                stored = await Layouts(database).read()
    except LayoutsUnavailable as error:
        with named("MongoDB", "MONGO_URL"):
            raise error.__cause__ or OSError(str(error)) from error
    return stored or await initial(env)


async def initial(env: Environment) -> Layout:
    """Return the layout that services start with while none is stored: by the setting, else by RabbitMQ."""
    first = Partitions.first(env.settings.partitions)
    if env.settings.partitions:
        return Layout(current=first)
    try:
        return Layout(current=await in_broker(env.settings.rabbitmq_url, first))
    except FAULTS:
        return Layout(current=first)


async def in_broker(rabbitmq_url: str, default: Partitions) -> Partitions:
    """Return the partitions that RabbitMQ's queues are for, or a default without any. Raises `FAULTS`."""
    connection = await amqp.connect(rabbitmq_url, name="partitions", heartbeat=HEARTBEAT_SECONDS)
    try:
        return await count_in_use(connection, default)
    finally:
        await amqp.close(connection)


async def writable(env: Environment) -> Partitions:
    """Return the partitions to which records may be published.

    Raises:
        CommandError: Their number is being changed, or MongoDB is away.
    """
    layout = await read(env)
    if layout.next or layout.wanted:
        raise CommandError("The number of partitions is being changed: try again when that is done.")
    return layout.current
