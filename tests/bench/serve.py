#!/usr/bin/env python3
"""Latency and throughput of `voxage serve` under concurrent clients.

    tests/bench/serve.py TARGET/release/voxage [SECONDS]

Makes voices, trains the default model on them, serves it, and asks it from 1, 4, 16 and 64 clients at a
time, each sending the same recording of 10 seconds again and again. Prints a row for each: answers a
second, seconds of audio a second, median, 95th and 99th percentile of the latency, answers that were no
200, and the most memory that the server has had."""
import http.client, json, pathlib, re, subprocess, sys, tempfile, threading, time

RECORDINGS, AUDIO_S = 60, 10


def peak_mib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) // 1024


def client(address, audio, until, times, bad):
    connection = http.client.HTTPConnection(address, timeout=60)
    while time.monotonic() < until:
        start = time.monotonic()
        connection.request("POST", "/v1/predict?gender=female", audio)
        answer = connection.getresponse()
        answer.read()
        times.append(time.monotonic() - start)
        if answer.status != 200:
            bad.append(answer.status)


def main():
    voxage, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory() as folder:
        root = f"{folder}/root"
        subprocess.run([voxage, "synth", f"{folder}/voices", "--recordings", str(RECORDINGS),
                        "--seconds", str(AUDIO_S)], check=True, capture_output=True)
        subprocess.run([voxage, "run", f"{folder}/voices/recordings.csv", "--root", root, "--json"],
                       check=True, capture_output=True)
        audio = next(pathlib.Path(f"{folder}/voices/audio").iterdir()).read_bytes()
        server = subprocess.Popen(
            [voxage, "serve", "--root", root, "--listen", "127.0.0.1:0", "--log-format", "json"],
            stderr=subprocess.PIPE, text=True)
        address = next(json.loads(line)["fields"]["address"] for line in server.stderr if '"serving"' in line)
        trainer = int(subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True).stdout)
        print("| clients | answers/s | × real time | p50 ms | p95 ms | p99 ms | not 200 | peak MiB |")
        print("|---|---|---|---|---|---|---|---|")
        for clients in [1, 4, 16, 64]:
            times, bad = [], []
            start = time.monotonic()
            threads = [threading.Thread(target=client, args=(address, audio, start + seconds, times, bad))
                       for _ in range(clients)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            took = time.monotonic() - start
            times.sort()
            at = lambda share: times[min(int(share * len(times)), len(times) - 1)] * 1000
            rate = (len(times) - len(bad)) / took
            print(f"| {clients} | {rate:.0f} | {rate * AUDIO_S:.0f} | {at(.5):.0f} | {at(.95):.0f} "
                  f"| {at(.99):.0f} | {len(bad)} | {peak_mib(trainer)} |", flush=True)
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
