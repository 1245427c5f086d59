#!/usr/bin/env python3
"""What a version of voxage writes, for the tests of those after it: a small store, and a message of each kind.

    tests/upgrade/make.py FOLDER

FOLDER has that version's `voxage` and `voxage-trainer` (deploy/old makes one). Writes tests/upgrade/store, a
root with a data set and a model, and tests/upgrade/{task,training,predict}.bin, as they were on the broker."""
import base64, json, os, pathlib, shutil, subprocess, sys, tempfile, time, urllib.request

here = pathlib.Path(__file__).parent
top = here.parent.parent
voxage = pathlib.Path(sys.argv[1]).resolve() / "voxage"
work = pathlib.Path(tempfile.mkdtemp())
env = {key: value for key, value in os.environ.items() if not key.startswith("VOXAGE_")}


def call(*args):
    done = subprocess.run([voxage, *map(str, args)], env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"voxage {' '.join(map(str, args))} failed")
    return done.stdout


# The store: a data set of twelve short voices, sealed, and a ridge.
call("synth", work / "voices", "--recordings", 12, "--seconds", "0.5")
store = work / "root"
call("run", work / "voices/recordings.csv", "--root", store, "--dataset", "d", "--architecture", "ridge")
shutil.rmtree(here / "store", ignore_errors=True)
shutil.copytree(store, here / "store")

# The messages: nobody is there who would take them.
stack = work / "stack"
variables = subprocess.run([top / "deploy/stack", "up", stack], stdout=subprocess.PIPE, text=True, check=True).stdout
try:
    for line in variables.splitlines():
        name, value = line.removeprefix("export ").split("=", 1)
        env[name] = value.strip("'")
    api = env["VOXAGE_TEST_RABBITMQ_API"]
    del env["VOXAGE_TEST_RABBITMQ_API"]
    roots = ["--audio-roots", work]
    call("submit", work / "voices/recordings.csv", "--dataset", "d")
    services = [subprocess.Popen([voxage, "coordinator", *roots], env=env, stderr=subprocess.DEVNULL)]

    def message(queue, name):
        """The first message of a queue, once there is one; it stays there."""
        user, place = api.removeprefix("http://").split("@")
        request = urllib.request.Request(
            f"http://{place}/api/queues/%2f/voxage.{queue}/get", method="POST",
            data=json.dumps({"count": 1, "ackmode": "ack_requeue_true", "encoding": "base64"}).encode(),
            headers={"Authorization": "Basic " + base64.b64encode(user.encode()).decode(), "Content-Type": "application/json"})
        for _ in range(300):
            try:
                found = json.load(urllib.request.urlopen(request))
            except urllib.error.HTTPError:
                found = []
            if found:
                payload = base64.b64decode(found[0]["payload"]) if found[0]["payload_encoding"] == "base64" else found[0]["payload"].encode()
                (here / f"{name}.bin").write_bytes(payload)
                return
            time.sleep(0.2)
        sys.exit(f"nothing came to the queue {queue}")

    message("tasks", "task")
    services.append(subprocess.Popen([voxage, "feature-worker", *roots], env=env, stderr=subprocess.DEVNULL))
    while not json.loads(call("status", "d", "--queue", "", "--json"))["datasets"][0]["sealed"]:
        time.sleep(0.3)
    call("train", "--dataset", "d", "--architecture", "ridge")
    message("trainings", "training")
    call("train", "--queue", "", "--dataset", "d", "--architecture", "ridge")
    services.append(subprocess.Popen([voxage, "predict", "--dataset", "d", "--out", work / "out"], env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
    message("predictions", "predict")
finally:
    for service in services:
        service.kill()
    subprocess.run([top / "deploy/stack", "down", stack])
    shutil.rmtree(work, ignore_errors=True)
