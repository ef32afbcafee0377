import assert from "node:assert/strict";
import { type PackageToValidate, ValidatedPackages } from "../../src/execution/validated_packages.ts";

const RULES = { entryPoint: "", blockedImports: [], maxPackageBytes: 1, maxUnpackedBytes: 1, maxFiles: 1 };

function subject(packageDigest: string, entryPoint = ""): PackageToValidate {
  return { caller: "a", packageDigest, rules: { ...RULES, entryPoint } };
}

Deno.test("ValidatedPackages forgets what was not asked for longest, and no more than it must", () => {
  const validated = new ValidatedPackages();
  for (let index = 0; index < 4_096; index++) validated.add(subject(`d${index}`));
  assert(validated.has(subject("d0")));
  validated.add(subject("new"));
  assert(!validated.has(subject("d1")), "the oldest that nobody asked for");
  assert(["d0", "d2", "d4095", "new"].every((digest) => validated.has(subject(digest))));
});

Deno.test("ValidatedPackages does not remember what is long to remember", () => {
  const validated = new ValidatedPackages();
  const long = subject("d", "x".repeat(5_000));
  validated.add(long);
  assert(!validated.has(long));
});
