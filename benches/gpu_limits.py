"""What a device can do at most, measured by PyTorch: multiplications of matrices in each precision, and copies within its memory.

    gpu_limits.py cuda|cpu        one line of JSON: TFLOP/s by precision, GB/s, the device's name and memory
"""

import json
import os
import sys
import time

sys.setdlopenflags(os.RTLD_LAZY)
import torch  # noqa: E402

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SECONDS = 0.5


def main() -> None:
    device = torch.device(sys.argv[1])
    on_gpu = device.type == "cuda"
    torch.backends.cuda.matmul.allow_tf32 = True

    def speed(work, amount: float) -> float:
        """`amount` of each repetition, a second."""
        finish = (lambda: torch.cuda.synchronize(device)) if on_gpu else (lambda: None)
        work(), finish()
        began, times = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            for _ in range(10 if on_gpu else 1):
                work()
                times += 1
            finish()
        return amount * times / (time.perf_counter() - began)

    sides = [4096, 8192] if on_gpu else [1024]
    flops = {}
    for name, kind in KINDS.items():
        if not on_gpu and name == "fp16":
            continue
        rates = []
        for side in sides:
            left, right = (torch.randn(side, side, device=device).to(kind) for _ in "lr")
            out = torch.empty_like(left)
            rates.append(speed(lambda: torch.mm(left, right, out=out), 2.0 * side**3))
        flops["tf32" if on_gpu and name == "fp32" else name] = max(rates) / 1e12
    source = torch.zeros((1 << 30) if on_gpu else (1 << 26), dtype=torch.uint8, device=device)
    copy = torch.empty_like(source)
    bandwidth = speed(lambda: copy.copy_(source), 2.0 * source.numel()) / 1e9
    found = {"tflops": flops, "gb_s": bandwidth, "torch": torch.__version__, "name": "this processor", "mib": None}
    if on_gpu:
        properties = torch.cuda.get_device_properties(device)
        found |= {"name": properties.name, "mib": properties.total_memory >> 20}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
