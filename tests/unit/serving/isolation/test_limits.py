import signal
import subprocess
import sys

from tests.limits import LONGEST_S


def wait_for_end(work: str) -> int:
    """Exit code of a process that binds itself to small limits and does `work`."""
    program = f"""
import resource
from serving.isolation.limits import DecoderLimits, allow_cpu, restrict
restrict(DecoderLimits(memory_bytes=100 * 2**20, open_files=20))
{work}
"""
    return subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, timeout=LONGEST_S
    ).returncode


def test_processor_time_is_bounded_from_each_read_on() -> None:
    assert wait_for_end("allow_cpu(1)\nwhile True: pass") == -signal.SIGXCPU
    assert wait_for_end("for _ in range(3): allow_cpu(1); sum(range(10**6))") == 0


def test_memory_is_bounded() -> None:
    assert wait_for_end("try: bytearray(200 * 2**20)\nexcept MemoryError: raise SystemExit(7)") == 7
    assert wait_for_end("bytearray(10 * 2**20)") == 0


def test_open_files_are_bounded() -> None:
    assert (
        wait_for_end(
            "import os\ntry: [os.open('/', os.O_RDONLY) for _ in range(30)]\nexcept OSError: raise SystemExit(7)"
        )
        == 7
    )


def test_no_file_is_written() -> None:
    program = (
        "import tempfile\ntry: tempfile.TemporaryFile(buffering=0).write(b'x')\nexcept OSError: raise SystemExit(7)"
    )
    assert wait_for_end(program) == 7
