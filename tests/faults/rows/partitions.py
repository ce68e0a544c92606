"""The number of partitions is changed while workers die."""

import signal

from clients.chat import eventually
from clients.partition_changes import change_partitions, start_change
from clients.stacks import PARTITIONS
from faults.fault_run import FaultRun
from parley.shared.layouts import CLOSING, Layouts

MORE_PARTITIONS = 12
WITHIN_SECONDS = 30.0


async def changed_and_back(run: FaultRun) -> None:
    """Change the number and back; the command and a worker are killed while nothing is published."""
    layouts = Layouts(run.database)

    async def is_closing() -> bool:
        layout = await layouts.read()
        return layout is not None and layout.phase == CLOSING

    async def is_done() -> bool:
        layout = await layouts.read()
        return layout is not None and not layout.is_changing and layout.current.count == MORE_PARTITIONS

    async with run.traffic() as traffic:
        process = await start_change(run.stack, str(MORE_PARTITIONS))
        await eventually(is_closing, WITHIN_SECONDS)
        process.kill()
        run.stack.signal("worker-1", signal.SIGKILL)
        await process.wait()
        await run.wait_for(f"{MORE_PARTITIONS} partitions", is_done, WITHIN_SECONDS)
        await run.wait_for_recovery(traffic)
        await change_partitions(run.stack, str(PARTITIONS.count))
        await run.wait_for_recovery(traffic)
