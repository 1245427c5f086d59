"""Prints the scalars of a folder of event files, as TensorBoard reads them: [tag, step, value]."""
import json, sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1])
events.Reload()
scalars = [[tag, event.step, event.value] for tag in events.Tags()["scalars"] for event in events.Scalars(tag)]
print(json.dumps(scalars))
