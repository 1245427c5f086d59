#!/usr/bin/env python3
"""The job across processes at scale, on a RabbitMQ and an S3 server of its own.

    tests/bench/scale.py RECORDINGS

Prints two tables: intake, planning and dispatch of RECORDINGS synthetic rows (no audio is
read), with the rate and the largest memory of each process; and a batch of real work with
1, 2 and 4 workers of one slot each, with recordings a second and the share of a worker's
time that is not extraction."""
import datetime, json, os, pathlib, re, shutil, subprocess, sys, tempfile, time

TOP = pathlib.Path(__file__).resolve().parents[2]


def target():
    metadata = subprocess.run(["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=TOP,
                              capture_output=True, check=True)
    return pathlib.Path(json.loads(metadata.stdout)["target_directory"])


VOXAGE = target() / "release/voxage"


def peak_mib(pid):
    """The most memory that a process has had at a time."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


class Stack:
    def __init__(self, folder):
        self.folder = folder
        lines = subprocess.run([TOP / "deploy/stack", "up", folder], capture_output=True, check=True, text=True).stdout
        self.env = {**os.environ, "AWS_EC2_METADATA_DISABLED": "true"}
        for line in lines.splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.env[name] = value.strip("'\"")
        self.running = []

    def call(self, *args):
        done = subprocess.run([VOXAGE, *args, "--json"], env=self.env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"voxage {' '.join(map(str, args))}: {done.stderr}")
        return json.loads(done.stdout)

    def timed(self, *args):
        """A call's seconds and its peak memory in MiB."""
        start = time.monotonic()
        process = subprocess.Popen([VOXAGE, *args], env=self.env, stdout=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            try:
                peak = max(peak, peak_mib(process.pid))
            except (FileNotFoundError, TypeError):
                pass
            time.sleep(0.02)
        if process.returncode:
            sys.exit(f"voxage {' '.join(map(str, args))} failed")
        return time.monotonic() - start, peak

    def start(self, *args):
        log = open(self.folder / f"{args[0]}-{len(self.running)}.log", "w+")
        process = subprocess.Popen([VOXAGE, *args], env=self.env, stderr=log)
        self.running.append(process)
        return process, log

    def stop(self, *processes):
        for process in processes or self.running:
            if process.poll() is None:
                process.terminate()
                process.wait()

    def down(self):
        self.stop()
        subprocess.run([TOP / "deploy/stack", "down", self.folder], check=True)


def logged(log, pattern):
    text = pathlib.Path(log.name).read_text()
    return re.findall(pattern, re.sub(r"\x1b\[[0-9;]*m", "", text))


def await_log(log, pattern, count=1, patience_s=1200):
    start = time.monotonic()
    while len(found := logged(log, pattern)) < count:
        if time.monotonic() - start > patience_s:
            sys.exit(f"'{pattern}' did not come: {pathlib.Path(log.name).read_text()[-2000:]}")
        time.sleep(0.1)
    return found


def intake(stack, recordings):
    manifest = stack.folder / "large.csv"
    with open(manifest, "w") as table:
        table.write("id,path,age,gender,speaker\n")
        for i in range(recordings):
            table.write(f"r{i:09},{i // 1000:06}/{i:09}.wav,{18 + i % 60},{'female' if i % 2 else 'male'},s{i // 7}\n")
    print(f"| {recordings:,} recordings | seconds | recordings/s | peak MiB |\n|---|---|---|---|")
    coordinator, log = stack.start("coordinator")
    await_log(log, "coordinator ready")
    for turn, name in enumerate(["", ", again"], 1):
        seconds, peak = stack.timed("submit", manifest, "--dataset", "large", "--no-stat", *(["--shard-recordings", "255"] if turn == 2 else []))
        print(f"| submit{name} | {seconds:.1f} | {recordings / seconds:,.0f} | {peak:.0f} |", flush=True)
        start = time.monotonic()
        seconds = float(await_log(log, r"planned .*seconds=([\d.]+)", turn)[-1])
        print(f"| plan{name} | {seconds:.1f} | {recordings / seconds:,.0f} | {peak_mib(coordinator.pid):.0f} |", flush=True)
        if turn == 1:
            seconds = float(await_log(log, r"dispatched .*seconds=([\d.]+)")[-1])
            print(f"| dispatch | {seconds:.1f} | {recordings / seconds:,.0f} | {peak_mib(coordinator.pid):.0f} |", flush=True)
    stack.stop(coordinator)


def span(log):
    """When a worker began its first task and ended its last, and the seconds that it extracted."""
    tasks = [(datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp(), float(seconds), float(work))
             for at, seconds, work in logged(log, r"(?m)^(\S+) .*task done seconds=([\d.]+) work_s=([\d.]+)")]
    if not tasks:
        sys.exit(f"{log.name}: a worker had nothing to do")
    return tasks[0][0] - tasks[0][1], tasks[-1][0], sum(work for _, _, work in tasks)


def workers(stack):
    subprocess.run([VOXAGE, "synth", stack.folder / "voices", "--recordings", "2048", "--seconds", "4"],
                   check=True, stdout=subprocess.DEVNULL)
    manifest = stack.folder / "voices/recordings.csv"
    stack.start("coordinator", "--audio-roots", stack.folder)
    print("\n| workers | recordings/s | efficiency | time beside extraction |\n|---|---|---|---|")
    one = None
    for count in (1, 2, 4):
        team = [stack.start("feature-worker", "--slots", "1", "--audio-roots", stack.folder) for _ in range(count)]
        for _, log in team:
            await_log(log, "worker ready")
        dataset = f"work{count}"
        stack.call("submit", manifest, "--dataset", dataset)
        while not stack.call("status", dataset, "--queue", "")["datasets"][0]["sealed"]:
            time.sleep(0.2)
        stack.stop(*[process for process, _ in team])
        spans = [span(log) for _, log in team]
        wall = max(end for _, end, _ in spans) - min(begin for begin, _, _ in spans)
        busy, work = sum(end - begin for begin, end, _ in spans), sum(work for _, _, work in spans)
        rate = 2048 / wall
        one = one or rate
        print(f"| {count} | {rate:.0f} | {rate / one / count:.2f} | {100 * (1 - work / busy):.1f} % |", flush=True)


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="voxage-scale-"))
    stack = Stack(folder)
    try:
        workers(stack)
        stack.stop()
        print()
        intake(stack, int(sys.argv[1]))
    finally:
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)


main()
