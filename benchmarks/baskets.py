"""Item sets and rules on the baskets of Complete Journey: processor seconds and memory, each way in its own process.

python benchmarks/baskets.py runs all; python benchmarks/baskets.py WAY LEVEL SUPPORT MAX_LEN runs one and prints JSON.
Every process gets at most 8 GB, so that a way that asks for more fails instead of stopping the machine.
"""

import json
import resource
import subprocess
import sys
import time
import warnings

import pandas as pd

CASES = [
    ("category", 0.02, 0),
    ("category", 0.01, 3),
    ("product_id", 0.001, 0),
]
WAYS = ["crmlab", "fpgrowth", "apriori", "apriori_low_memory"]
SECONDS = 300
GIGABYTES = 8


def main() -> None:
    print("| items | support | longest | way | seconds | times crmlab | peak, MB | sets |")
    print("|---|---|---|---|---|---|---|---|")
    for level, support, longest in CASES:
        ours = 0.0
        for way in WAYS:
            told = _run(way, level, support, longest)
            if "seconds" in told:
                ours = ours or told["seconds"]
                took, peak = told["seconds"], told["peak"]
                figures = f"{took:.1f} | {took / ours:.1f} | {peak:,.0f} | {told['sets']:,}"
            else:
                figures = f"{told['failed']} | | |"
            print(f"| {level} | {support:g} | {longest or 'any'} | {way} | {figures} |", flush=True)
    print(json.dumps(_run("rules", "product_id", 0.001, 2)))
    print(json.dumps(_run("refusal", "category", 0.0002, 0)))


def _run(way: str, level: str, support: float, longest: int) -> dict:
    command = [sys.executable, __file__, way, level, str(support), str(longest)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return {"failed": f"over {SECONDS} s"}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1].partition(": ")[2][:90]}
    return json.loads(done.stdout)


def one(way: str, level: str, support: float, longest: int) -> dict:
    from crmlab.database import association_rules, baskets, frequent_itemsets, pairs_within
    from crmlab.datasets import load
    from crmlab.errors import ContractError

    warnings.simplefilter("ignore")
    lines = _lines(load("complete_journey"), level)
    start, begin = _peak(), time.process_time()
    held = baskets(lines, item=level)
    if way == "refusal":
        try:
            frequent_itemsets(held, support, max_len=longest or None)
        except ContractError as refused:
            found: list | pd.DataFrame = [str(refused).splitlines()[0]]
    elif way in ("crmlab", "rules"):
        found = frequent_itemsets(held, support, max_len=longest or None).table
        if way == "rules":
            found = association_rules(frequent_itemsets(held, support, max_len=longest)).table
            pairs_within(held, support)
    else:
        from mlxtend.frequent_patterns import apriori, fpgrowth

        enough = held.counts.to_numpy() >= support * len(held.orders)  # without this, all of them need the dense table
        frame = pd.DataFrame.sparse.from_spmatrix(held.matrix[:, enough], columns=range(enough.sum()))
        mine = {"fpgrowth": fpgrowth}.get(way, apriori)
        options = {"low_memory": True} if way == "apriori_low_memory" else {}
        found = mine(frame, min_support=support, max_len=longest or None, **options)
    took = time.process_time() - begin
    return {"seconds": took, "start": start, "peak": _peak(), "sets": len(found), "lines": len(lines)}


def _lines(journey, level: str) -> pd.DataFrame:
    bought = journey.transactions
    bought = bought.loc[~bought["is_fuel"], ["order_id", "product_id", "quantity", "amount"]]
    if level == "product_id":
        return bought
    return bought.assign(category=bought["product_id"].map(journey["products"].set_index("product_id")[level]))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES * 2**30, GIGABYTES * 2**30))
        print(json.dumps(one(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))))
