/**
 * What each caller may do: policy by name, and quotas of requests, tasks and CPU time.
 * @module
 */

import type { CallerPolicy, ExecutionCeilingOptions, ExecutionLimitOptions, PolicyOptions } from "../config/schema.ts";
import { ServiceError } from "../errors.ts";
import { hostRuleFault } from "../sandbox/egress/mod.ts";
import { SlidingSum, TokenBucket } from "./rate.ts";

/** Who calls where nobody has to prove who they are. */
export const ANONYMOUS = "anonymous";
/** Entry of the policy for callers that have none. */
const EVERYBODY = "*";
const HOUR_MS = 3_600_000;
/** Callers that may be remembered before those are forgotten that have nothing to remember. */
const MAX_ACCOUNTS = 10_000;

/** What holds for the tasks of one caller. */
export interface CallerTerms {
  /** The policy with the caller's own ceilings and grants in it. */
  readonly policy: PolicyOptions;
  /** Limits of tasks whose request names none; never above the caller's ceilings. */
  readonly defaults: ExecutionLimitOptions;
}

/** Where {@linkcode Callers} come from. */
export interface CallersOptions {
  readonly policy: PolicyOptions;
  readonly defaults: ExecutionLimitOptions;
  /** A clock that is never set back, in milliseconds. */
  readonly now?: () => number;
}

/** A task's place in its caller's quota. */
export interface TaskLease {
  /**
   * Books CPU time of a task that goes on.
   * @returns what is wrong when the caller has used all of its time by now
   */
  charge(cpuMs: number): ServiceError | undefined;
  /** Gives it back and books the CPU time. Twice does what once does. */
  end(cpuMs: number): void;
}

interface Quotas {
  readonly maxActiveTasks: number;
  readonly maxRequestsPerSecond: number;
  readonly cpuSecondsPerHour: number;
}

interface Account {
  readonly leases: Set<TaskLease>;
  readonly bucket: TokenBucket;
  readonly cpuMs: SlidingSum;
}

/** All callers. Owned by the composition root. */
export class Callers {
  readonly #options: Required<CallersOptions>;
  readonly #terms = new Map<string, CallerTerms>();
  readonly #quotas = new Map<string, Quotas>();
  readonly #accounts = new Map<string, Account>();
  readonly #unlimited: TaskLease = { charge: () => undefined, end() {} };

  constructor(options: CallersOptions) {
    this.#options = { now: () => performance.now(), ...options };
    for (const name of new Set([EVERYBODY, ...this.names])) {
      const entry = entryFor(name, options.policy.callers);
      const terms = toTerms(entry, options);
      requireHostRules(name, terms.policy);
      this.#terms.set(name, terms);
      this.#quotas.set(name, {
        maxActiveTasks: entry.maxActiveTasks ?? 0,
        maxRequestsPerSecond: entry.maxRequestsPerSecond ?? 0,
        cpuSecondsPerHour: entry.cpuSecondsPerHour ?? 0,
      });
    }
  }

  /** Callers that the policy names; few, so they may label metrics. */
  get names(): string[] {
    return Object.keys(this.#options.policy.callers).filter((name) => name !== EVERYBODY);
  }

  /** Whether requests of any caller are counted. */
  get limitsRequests(): boolean {
    return [...this.#quotas.values()].some(({ maxRequestsPerSecond }) => maxRequestsPerSecond > 0);
  }

  /** What holds for a caller's tasks. */
  termsFor(caller: string): CallerTerms {
    // The entry of everybody is always there.
    return this.#terms.get(caller) ?? this.#terms.get(EVERYBODY)!;
  }

  /** The policy that holds for a caller: the file's own with what the caller's entry says instead. */
  policyFor(caller: string): PolicyOptions {
    return this.termsFor(caller).policy;
  }

  /**
   * Counts a request.
   * @throws {ServiceError} `RATE_LIMITED` when the caller sent as many as it may, with `retryAfterMs` in its details
   */
  admitRequest(caller: string): void {
    const { maxRequestsPerSecond } = this.#quotasFor(caller);
    if (maxRequestsPerSecond === 0) return;
    const now = this.#options.now();
    const waitMs = this.#accountFor(caller).bucket.take(now);
    if (waitMs === 0) return;
    throw exceeded(caller, "maxRequestsPerSecond", maxRequestsPerSecond, "it sent more requests", waitMs);
  }

  /**
   * Takes a place for a task, to be given back when the task ends, however it ends.
   * @throws {ServiceError} `RATE_LIMITED` when the caller has as many as it may, or has used its CPU time, with
   * `retryAfterMs` in its details where that is known
   */
  admitTask(caller: string): TaskLease {
    const { maxActiveTasks, cpuSecondsPerHour } = this.#quotasFor(caller);
    if (maxActiveTasks === 0 && cpuSecondsPerHour === 0) return this.#unlimited;
    const account = this.#accountFor(caller);
    if (maxActiveTasks > 0 && account.leases.size >= maxActiveTasks) {
      throw exceeded(caller, "maxActiveTasks", maxActiveTasks, `${account.leases.size} wait or run`, undefined);
    }
    const limitMs = cpuSecondsPerHour * 1_000;
    const overdrawn = () => {
      const waitMs = limitMs === 0 ? 0 : account.cpuMs.untilBelow(limitMs, this.#options.now());
      if (waitMs === 0) return undefined;
      return exceeded(caller, "cpuSecondsPerHour", cpuSecondsPerHour, "its tasks have used that", waitMs);
    };
    const fault = overdrawn();
    if (fault !== undefined) throw fault;
    const lease: TaskLease = {
      charge: (cpuMs) => {
        if (limitMs === 0) return undefined;
        account.cpuMs.add(cpuMs, this.#options.now());
        return overdrawn();
      },
      end: (cpuMs) => {
        if (account.leases.delete(lease) && limitMs > 0) account.cpuMs.add(cpuMs, this.#options.now());
      },
    };
    account.leases.add(lease);
    return lease;
  }

  /** Tasks of a caller that wait or run, of those whose quotas are kept. */
  activeTasks(caller: string): number {
    return this.#accounts.get(caller)?.leases.size ?? 0;
  }

  #quotasFor(caller: string): Quotas {
    return this.#quotas.get(caller) ?? this.#quotas.get(EVERYBODY)!;
  }

  #accountFor(caller: string): Account {
    const known = this.#accounts.get(caller);
    if (known !== undefined) return known;
    if (this.#accounts.size >= MAX_ACCOUNTS) this.#forgetIdle();
    const account: Account = {
      leases: new Set(),
      bucket: new TokenBucket(this.#quotasFor(caller).maxRequestsPerSecond, this.#options.now()),
      cpuMs: new SlidingSum(HOUR_MS),
    };
    this.#accounts.set(caller, account);
    return account;
  }

  /** Accounts that are as new ones would be. */
  #forgetIdle(): void {
    const now = this.#options.now();
    for (const [caller, { leases, bucket, cpuMs }] of this.#accounts) {
      if (leases.size === 0 && bucket.isFull(now) && cpuMs.sum(now) === 0) this.#accounts.delete(caller);
    }
  }
}

/** The highest memory ceiling of all callers, in megabytes: what sandboxes must have room for. */
export function highestMemoryMb({ ceilings, callers }: PolicyOptions): number {
  return Math.max(ceilings.memoryMb, ...Object.values(callers).map((entry) => entry.ceilings?.memoryMb ?? 0));
}

/** A caller's entry, filled from that of everybody, setting by setting. */
function entryFor(caller: string, callers: PolicyOptions["callers"]): CallerPolicy {
  const everybody = callers[EVERYBODY] ?? {};
  const own = Object.hasOwn(callers, caller) ? callers[caller] ?? {} : {};
  return {
    ...everybody,
    ...own,
    ceilings: { ...everybody.ceilings, ...own.ceilings },
    network: { ...everybody.network, ...own.network },
    filesystem: { ...everybody.filesystem, ...own.filesystem },
    environment: { ...everybody.environment, ...own.environment },
  };
}

function toTerms(entry: CallerPolicy, { policy, defaults }: CallersOptions): CallerTerms {
  const ceilings: ExecutionCeilingOptions = { ...policy.ceilings, ...present(entry.ceilings) };
  return {
    policy: {
      ...policy,
      ceilings,
      network: { ...policy.network, ...present(entry.network) },
      filesystem: { ...policy.filesystem, ...present(entry.filesystem) },
      environment: { ...policy.environment, ...present(entry.environment) },
      reuse: entry.reuse ?? policy.reuse,
    },
    defaults: {
      timeoutSeconds: Math.min(defaults.timeoutSeconds, ceilings.timeoutSeconds),
      memoryMb: Math.min(defaults.memoryMb, ceilings.memoryMb),
      cpuPercent: Math.min(defaults.cpuPercent, ceilings.cpuPercent),
      outputMb: Math.min(defaults.outputMb, ceilings.outputMb),
    },
  };
}

/** @throws {ServiceError} `CONFIG_INVALID` that says which rule cannot be read, and whose it is */
function requireHostRules(caller: string, { network }: PolicyOptions): void {
  for (const rule of network.hosts) {
    const fault = hostRuleFault(rule);
    if (fault === undefined) continue;
    throw new ServiceError(
      "CONFIG_INVALID",
      `Cannot use the policy: network.hosts of caller "${caller}" has "${rule}": ${fault}`,
      { details: { rule } },
    );
  }
}

/** Without members that are `undefined`, which would hide what they are spread over. */
function present<T extends object>(entry: T | undefined): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const members = Object.entries(entry ?? {}).filter(([, value]) => value !== undefined);
  // The entries are the object's own, less those that are undefined.
  return Object.fromEntries(members) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function exceeded(
  caller: string,
  quota: string,
  limit: number,
  state: string,
  retryAfterMs: number | undefined,
): ServiceError {
  const when = retryAfterMs === undefined ? "" : `; try again in ${Math.ceil(retryAfterMs)} ms`;
  return new ServiceError(
    "RATE_LIMITED",
    `Cannot admit request of caller "${caller}": ${state}, the policy's ${quota} is ${limit}${when}`,
    {
      details: {
        quota,
        limit: String(limit),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs: String(Math.ceil(retryAfterMs)) }),
      },
    },
  );
}
