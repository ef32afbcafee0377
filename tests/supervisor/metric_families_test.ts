import assert from "node:assert/strict";
import { MetricFamilies } from "../../src/supervisor/metric_families.ts";

const FIRST = `# HELP calls_total Calls: all
# TYPE calls_total counter
calls_total{method="A{b}",status="OK"} 2
calls_total{method="\\"x\\", y"} 1

# HELP open Open now
# TYPE open gauge
open 7

# HELP took Time
# TYPE took histogram
took_bucket{le="1"} 1
took_bucket{le="+Inf"} 3
took_sum 4.5
took_count 3
`;

const FORMER = `# HELP calls_total Calls: all
# TYPE calls_total counter
calls_total{method="A{b}",status="OK"} 40
calls_total{method="gone"} 1
# HELP open Open now
# TYPE open gauge
open 3
# HELP took Time
# TYPE took histogram
took_bucket{le="+Inf"} 1
took_sum 0.5
took_count 1
`;

Deno.test("MetricFamilies labels each front's samples, with help and type once", () => {
  const families = new MetricFamilies();
  families.add(FIRST, { front: "1" });
  families.add("# HELP open Open now\n# TYPE open gauge\nopen 1\n", { front: "2" });
  assert.equal(
    families.render(),
    `# HELP calls_total Calls: all
# TYPE calls_total counter
calls_total{front="1",method="A{b}",status="OK"} 2
calls_total{front="1",method="\\"x\\", y"} 1

# HELP open Open now
# TYPE open gauge
open{front="1"} 7
open{front="2"} 1

# HELP took Time
# TYPE took histogram
took_bucket{front="1",le="1"} 1
took_bucket{front="1",le="+Inf"} 3
took_sum{front="1"} 4.5
took_count{front="1"} 3

`,
  );
});

Deno.test("MetricFamilies adds up totals of processes that followed each other, and keeps no gauge of one that is gone", () => {
  const totals = new MetricFamilies();
  totals.add(FORMER, { front: "1", totalsOnly: true });
  const families = new MetricFamilies();
  families.add(FIRST, { front: "1" });
  families.addAll(totals);
  const lines = families.render().split("\n");
  for (
    const line of [
      'calls_total{front="1",method="A{b}",status="OK"} 42',
      'calls_total{front="1",method="gone"} 1',
      'open{front="1"} 7',
      'took_bucket{front="1",le="+Inf"} 4',
      'took_sum{front="1"} 5',
    ]
  ) assert(lines.includes(line), `${line} is not in\n${lines.join("\n")}`);
});

Deno.test("MetricFamilies keeps values that are no numbers, and refuses text that is no metric", () => {
  const families = new MetricFamilies();
  families.add('# HELP a A\n# TYPE a gauge\na Nan\na{b="1"} -Inf\na{b="2"} +Inf\n', { front: "1" });
  assert.match(families.render(), /a\{front="1"\} NaN\n.*-Inf\n.*\+Inf/);
  assert.throws(() => families.add("<html>", { front: "1" }), /"<html>" is no sample/);
});
