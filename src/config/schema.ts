/**
 * Every setting of the service: type, default, check and meaning.
 *
 * The schemas are the only place where a default is written in code. The files of the `config/` folder repeat them with
 * explanations for operators, and a test keeps both equal. `docs/configuration.md` is generated from here.
 *
 * Units are part of the name. A megabyte (`Mb`) is 1,048,576 bytes, a `cpuPercent` of 100 is one core.
 * @module
 */
import { z } from "zod";
import { PYTHON_VERSIONS } from "../../workers/protocol.ts";

const PORT = z.int().min(0).max(65_535);
const HOST = z.string().min(1).max(253).regex(/^[A-Za-z0-9.:_-]+$/).meta({ allowed: "an IP address or a host name" });

/** A file that may be absent. */
const FILE = z.string().min(1).nullable().default(null).meta({ allowed: "a path, or null" });

/** The gRPC listener. */
export const ServerOptions = z.strictObject({
  host: HOST.default("127.0.0.1").describe(
    "Address that gRPC listens on. Anything but a loopback address needs callers who prove who they are (`auth.tokensFile`, `server.tls.clientCaFile`), or `allowUnauthenticatedPublicBind`",
  ),
  port: PORT.default(50_051).describe("Port that gRPC listens on; 0 takes a free one"),
  processes: z.int().min(0).max(256).default(0).describe(
    "Front processes that serve on the port, each with its share of hosts, connections and quotas, under a supervisor that replaces them without refusing a call. 0: the process that is started serves by itself",
  ),
  maxProcessMemoryMb: z.int().min(0).max(1_048_576).default(2_048).describe(
    "Resident memory above which a front process is replaced by a new one, in megabytes. 0: never",
  ),
  allowUnauthenticatedPublicBind: z.boolean().default(false).describe(
    "Whether callers that prove no identity may be served on an address that other machines can reach",
  ),
  allowPlaintextTokens: z.boolean().default(false).describe(
    "Whether tokens may cross the network unencrypted, on an address that other machines can reach and without TLS",
  ),
  reflection: z.boolean().default(true).describe(
    "Whether the server describes itself (gRPC reflection); where callers have to prove who they are, only to those",
  ),
  tls: z.strictObject({
    certFile: FILE.describe("Certificate of the service with its chain, as PEM. null: no TLS"),
    keyFile: FILE.describe("Private key of the certificate, as PEM"),
    clientCaFile: FILE.describe(
      "Authorities of client certificates, as PEM; every client then has to show one, and its name is the caller's",
    ),
  }).prefault({}).describe("Encryption of the gRPC listener: TLS 1.2 or later, HTTP/2 only"),
  maxMessageBytes: z.int().min(1_024).max(1_073_741_824).default(134_217_728).describe(
    "Largest message taken and sent, in bytes; a larger one ends its call with RESOURCE_EXHAUSTED",
  ),
  maxConnections: z.int().min(1).max(100_000).default(1_000).describe("Connections open at once; the next is closed"),
  maxConnectionsPerPeer: z.int().min(1).max(100_000).default(512).describe(
    "Connections open at once from one address; the next is closed",
  ),
  handshakeTimeoutMs: z.int().min(100).max(600_000).default(10_000).describe(
    "How long a new connection may take for TLS and the opening of HTTP/2 before it is closed, in milliseconds",
  ),
  idleTimeoutMs: z.int().min(1_000).max(86_400_000).default(1_800_000).describe(
    "How long a connection may be without a call before it is closed, in milliseconds",
  ),
  maxStreamsPerConnection: z.int().min(1).max(100_000).default(1_000).describe(
    "Calls in progress at once on one connection; a client queues the next by itself",
  ),
  keepaliveIntervalMs: z.int().min(1_000).max(86_400_000).default(60_000).describe(
    "How often a silent connection is pinged, in milliseconds",
  ),
  keepaliveTimeoutMs: z.int().min(100).max(600_000).default(20_000).describe(
    "How long a ping may stay unanswered before its connection is closed, in milliseconds",
  ),
  drainTimeoutMs: z.int().min(0).max(3_600_000).default(10_000).describe(
    "How long running calls may take to end after a stop signal before they are killed, in milliseconds",
  ),
});
/** See {@linkcode ServerOptions}. */
export type ServerOptions = z.output<typeof ServerOptions>;

/** Who may call. */
export const AuthOptions = z.strictObject({
  tokensFile: FILE.describe(
    "File of bearer tokens, made by `rexec token create`; every call then has to carry one of them, or come over a connection with a client certificate. null: none",
  ),
});
/** See {@linkcode AuthOptions}. */
export type AuthOptions = z.output<typeof AuthOptions>;

/** The limits that a request can name, with the values given as defaults. */
function limits(defaults: { timeoutSeconds: number; memoryMb: number; cpuPercent: number; outputMb: number }) {
  return z.strictObject({
    timeoutSeconds: z.int().min(1).max(86_400).default(defaults.timeoutSeconds).describe("Wall time, in seconds"),
    memoryMb: z.int().min(16).max(1_048_576).default(defaults.memoryMb).describe("Memory, in megabytes"),
    cpuPercent: z.int().min(1).max(100_000).default(defaults.cpuPercent).describe(
      "CPU time per wall time, in percent of one core",
    ),
    outputMb: z.int().min(1).max(1_048_576).default(defaults.outputMb).describe("All output together, in megabytes"),
  });
}

/** What one execution may use when its request names nothing. */
export const ExecutionLimitOptions = limits({ timeoutSeconds: 30, memoryMb: 512, cpuPercent: 100, outputMb: 100 });
/** The limits of one execution. See {@linkcode ExecutionLimitOptions}. */
export type ExecutionLimitOptions = z.output<typeof ExecutionLimitOptions>;

/** The most that a request may ask for. */
export const ExecutionCeilingOptions = limits({ timeoutSeconds: 300, memoryMb: 2_048, cpuPercent: 400, outputMb: 512 })
  .extend({
    cpuSeconds: z.int().min(1).max(10_000_000).default(1_200).describe(
      "CPU time altogether, in seconds; what a request gets that names none",
    ),
    threads: z.int().min(1).max(100_000).default(64).describe("Threads beside those that a sandbox has of its own"),
  });
/** See {@linkcode ExecutionCeilingOptions}. */
export type ExecutionCeilingOptions = z.output<typeof ExecutionCeilingOptions>;

/** Admission and default limits of executions. */
export const ExecutionSectionOptions = z.strictObject({
  defaults: ExecutionLimitOptions.prefault({}).describe(
    "What an execution may use when its request names nothing; never above the ceilings of security.yaml",
  ),
  maxInputMb: z.int().min(1).max(1_024).default(100).describe("Largest input of one execution, in megabytes"),
  maxConsoleKb: z.int().min(0).max(1_048_576).default(1_024).describe(
    "Console output of user code that is kept, in kilobytes; the rest is cut off",
  ),
  queueLimit: z.int().min(0).max(1_000_000).default(1_024).describe(
    "Executions that may wait for a sandbox; the next one is shed with QUEUE_FULL. 0: nothing waits",
  ),
  queueLimitMb: z.int().min(1).max(1_048_576).default(1_024).describe(
    "What executions that wait may hold in memory together, inputs and packages, in megabytes",
  ),
  queueTimeoutMs: z.int().min(0).max(3_600_000).default(30_000).describe(
    "How long one may wait for a sandbox, in milliseconds. 0: no limit but the call's own deadline",
  ),
});
/** See {@linkcode ExecutionSectionOptions}. */
export type ExecutionSectionOptions = z.output<typeof ExecutionSectionOptions>;

/** Streams, and the sessions of objects. */
export const SessionOptions = z.strictObject({
  maxSessions: z.int().min(0).max(1_000_000).default(1_000).describe(
    "Streams and sessions open at once; the next one is refused with RESOURCE_EXHAUSTED. 0: there are none",
  ),
  maxPerCaller: z.int().min(1).max(1_000_000).default(500).describe(
    "Streams and sessions that one caller may have open at once",
  ),
  idleTimeoutMs: z.int().min(10).max(86_400_000).default(300_000).describe(
    "How long one may go without an input or a call before it is ended, in milliseconds",
  ),
  maxDurationMs: z.int().min(100).max(604_800_000).default(14_400_000).describe(
    "How long one may be open altogether before it is ended, in milliseconds",
  ),
  unreadKb: z.int().min(1).max(1_048_576).default(1_024).describe(
    "Outputs of a stream that its caller may leave unread before the stream stands still, in kilobytes; one input's outputs may go beyond it",
  ),
});
/** See {@linkcode SessionOptions}. */
export type SessionOptions = z.output<typeof SessionOptions>;

/** How tasks are kept in. */
export const SandboxOptions = z.strictObject({
  enabled: z.boolean().default(true).describe(
    "Whether sandbox hosts are jailed. False is for development: it warns at each start, and tasks still run in processes of their own, in workers without permissions",
  ),
  type: z.enum(["auto", "bubblewrap", "process"]).default("auto").describe(
    "Jail around each sandbox host: bubblewrap (own namespaces), process (rlimits, no rights), or auto: the strongest that this machine has",
  ),
  controlGroups: z.enum(["auto", "off"]).default("auto").describe(
    "Whether the kernel's control groups limit CPU, memory and threads of user code: auto uses them where this service may make some",
  ),
  probe: z.boolean().default(true).describe(
    "Whether each kind of sandbox proves at start that it keeps its task in; the service does not start if one fails",
  ),
});
/** See {@linkcode SandboxOptions}. */
export type SandboxOptions = z.output<typeof SandboxOptions>;

/** The pool of sandbox hosts. */
export const PoolOptions = z.strictObject({
  maxWorkers: z.int().min(1).max(1_024).default(4).describe("Sandbox hosts alive at once"),
  maxTaskHosts: z.int().min(1).max(1_024).default(4).describe(
    "Sandbox hosts for user code alive at once, ready ones included; each runs one task and is destroyed, unless the policy says otherwise (`reuse`)",
  ),
  readyTaskHosts: z.int().min(0).max(1_024).default(1).describe(
    "Sandbox hosts for user code that are started ahead of need",
  ),
  keptIdleTimeoutMs: z.int().min(100).max(86_400_000).default(60_000).describe(
    "How long a sandbox host that is kept for its caller (`reuse: same-caller` of the policy) may be without a task, in milliseconds",
  ),
  startTimeoutMs: z.int().min(100).max(600_000).default(10_000).describe(
    "How long a sandbox host may take to be ready before it is killed, in milliseconds",
  ),
});
/** See {@linkcode PoolOptions}. */
export type PoolOptions = z.output<typeof PoolOptions>;

/** User code in Python. */
export const PythonOptions = z.strictObject({
  enabled: z.boolean().default(true).describe(
    "Whether Python is run at all; without, its packages and nodes are refused and no memory is held for them",
  ),
  version: z.enum(PYTHON_VERSIONS).default("3.14").describe(
    "Version that runs what does not say which it needs: neither `python_version` in its manifest nor the bytecode of a serialized object",
  ),
  maxSandboxes: z.int().min(1).max(1_024).default(4).describe(
    "Sandbox hosts for Python alive at once, over all versions and ready ones included; each runs one task and is destroyed",
  ),
  ownHashSeeds: z.boolean().default(false).describe(
    "Whether each sandbox has a hash seed of its own: it then starts from compiled modules and not from the memory of another, which takes about twice as long",
  ),
  readySandboxes: z.int().min(0).max(1_024).default(1).describe(
    "Sandbox hosts that wait ready with the default version, started once the service serves; and with any other version that was asked for lately",
  ),
  readyIdleMs: z.int().min(100).max(86_400_000).default(600_000).describe(
    "How long a version other than the default must not have been asked for before none of its hosts waits ready any more, in milliseconds",
  ),
  startTimeoutMs: z.int().min(100).max(600_000).default(30_000).describe(
    "How long a sandbox host for Python may take to be ready before it is killed, in milliseconds",
  ),
  packagesDirectory: FILE.describe(
    "Folder with Python packages that tasks may depend on: wheels, or package folders as pip and Debian install them. null: none",
  ),
});
/** See {@linkcode PythonOptions}. */
export type PythonOptions = z.output<typeof PythonOptions>;
/** Where installed packages are kept. */
export const LayerOptions = z.strictObject({
  directory: FILE.describe(
    "Folder of installed packages, which several services may share; it is made when it is missing. null: one that is removed with the service",
  ),
  maxMb: z.int().min(1).max(1_048_576).default(2_048).describe(
    "What installed packages may take on disk, in megabytes; what was not used for longest goes first",
  ),
  refreshHours: z.number().min(0).max(87_600).default(24).describe(
    "After so many hours versions are chosen anew for what is declared as a range",
  ),
});
/** See {@linkcode LayerOptions}. */
export type LayerOptions = z.output<typeof LayerOptions>;

/** The HTTP listener for metrics and health. */
export const MetricsOptions = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether /metrics, /healthz and /readyz are served over HTTP"),
  host: HOST.default("127.0.0.1").describe("Address that the HTTP listener binds to"),
  port: PORT.default(8_080).describe("Port of the HTTP listener; 0 takes a free one"),
});
/** See {@linkcode MetricsOptions}. */
export type MetricsOptions = z.output<typeof MetricsOptions>;

/** What a caller may be called. Names come from tokens and certificates, and go into logs and metrics. */
export const CALLER_NAME = /^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,127}$/;

const HOSTS = z.array(z.string().min(1).max(255)).max(1_000);
const REUSE = z.enum(["never", "same-caller"]);
const NAMES = z.array(z.string().max(255).regex(/^[A-Za-z_][A-Za-z0-9_]*\*?$/)).max(1_000);

/**
 * What one caller gets: quotas, and whatever differs from the policy's own ceilings and grants. What is absent is taken
 * from the caller `*`, and from the policy where that has nothing either. Lists replace lists.
 */
export const CallerPolicy = z.strictObject({
  /** Tasks waiting or running at once. 0: no limit. */
  maxActiveTasks: z.int().min(0).max(1_000_000).optional(),
  /** Requests in a second, and as many at once after a pause. 0: no limit. */
  maxRequestsPerSecond: z.number().min(0).max(1_000_000).optional(),
  /** CPU time of the tasks that ended within the last hour, in seconds. 0: no limit. */
  cpuSecondsPerHour: z.number().min(0).max(100_000_000).optional(),
  ceilings: z.strictObject({
    timeoutSeconds: z.int().min(1).max(86_400).optional(),
    memoryMb: z.int().min(16).max(1_048_576).optional(),
    cpuPercent: z.int().min(1).max(100_000).optional(),
    outputMb: z.int().min(1).max(1_048_576).optional(),
    cpuSeconds: z.int().min(1).max(10_000_000).optional(),
    threads: z.int().min(1).max(100_000).optional(),
  }).optional(),
  network: z.strictObject({ allowed: z.boolean().optional(), hosts: HOSTS.optional() }).optional(),
  filesystem: z.strictObject({
    allowed: z.boolean().optional(),
    scratchMb: z.int().min(1).max(1_048_576).optional(),
  }).optional(),
  environment: z.strictObject({ allowedNames: NAMES.optional() }).optional(),
  reuse: REUSE.optional(),
});
/** See {@linkcode CallerPolicy}. */
export type CallerPolicy = z.output<typeof CallerPolicy>;

const CA_FILE = FILE.describe("Authorities of the registry's certificate beside the usual ones, as PEM. null: none");
const PACKAGE_NAMES = z.array(z.string().min(1).max(255)).max(10_000).default(["*"]).meta({
  allowed: "a list of package names, in which `*` stands for any text",
});
const MINIMUM_AGE_DAYS = z.number().min(0).max(3_650).default(7);
const REGISTRY_URL = z.url({ protocol: /^https?$/ }).meta({ allowed: "an http or https URL" });

/** What bounds an installation. */
const INSTALLATION = {
  maxPackages: z.int().min(1).max(10_000).default(200).describe(
    "Packages that one task may need, those that others need included",
  ),
  maxMb: z.int().min(1).max(1_024).default(64).describe("What they may have together once unpacked, in megabytes"),
  timeoutSeconds: z.int().min(1).max(3_600).default(120).describe("How long an installation may take, in seconds"),
};

/** Packages of npm that tasks may depend on. */
export const NpmPolicy = z.strictObject({
  allowed: z.boolean().default(false).describe(
    "Whether packages are installed from a registry of npm, in a sandbox with network to that registry alone; their scripts never run",
  ),
  registry: REGISTRY_URL.default("https://registry.npmjs.org").describe(
    "The registry; archives must lie on the same host. An address that is not public is reached all the same",
  ),
  caFile: CA_FILE,
  allow: PACKAGE_NAMES.describe(
    "Packages that may be installed, those that others need included: `zod`, `@scope/*`, `*`",
  ),
  minimumAgeDays: MINIMUM_AGE_DAYS.describe(
    "Versions that were published later than so many days ago are not installed: malicious ones are mostly found before",
  ),
  ...INSTALLATION,
});
/** See {@linkcode NpmPolicy}. */
export type NpmPolicy = z.output<typeof NpmPolicy>;

/** Packages of Python that tasks may depend on, beside those of the wheelhouse. */
export const PythonIndexPolicy = z.strictObject({
  allowed: z.boolean().default(false).describe(
    "Whether packages that the folder of packages lacks are installed from an index, in a sandbox with network to that index alone. Only wheels are taken; nothing is built, and no code of theirs runs",
  ),
  index: REGISTRY_URL.default("https://pypi.org/simple").describe(
    "The index (PEP 503, PEP 691). It is never asked for names that the folder of packages has. An address that is not public is reached all the same",
  ),
  fileHosts: z.array(z.string().regex(/^[A-Za-z0-9.-]+(?::\d{1,5})?$/)).max(100).default(["files.pythonhosted.org"])
    .meta({ allowed: "a list of host names, each with an optional port" })
    .describe("Hosts where the files of the index may lie, beside its own"),
  caFile: CA_FILE,
  allow: PACKAGE_NAMES.describe(
    "Packages that may be installed, those that others need included: `attrs`, `acme-*`, `*`",
  ),
  minimumAgeDays: MINIMUM_AGE_DAYS.describe(
    "Files that were published later than so many days ago are not installed: malicious ones are mostly found before. Above 0 the index has to say when that was (PEP 700)",
  ),
  ...INSTALLATION,
});
/** See {@linkcode PythonIndexPolicy}. */
export type PythonIndexPolicy = z.output<typeof PythonIndexPolicy>;

/** What requests may ask for: the whole of security.yaml. */
export const PolicyOptions = z.strictObject({
  ceilings: ExecutionCeilingOptions.prefault({}).describe(
    "The most that a request may ask for; above it the request is refused with the ceiling named",
  ),
  network: z.strictObject({
    allowed: z.boolean().default(false).describe("Whether a request may ask for network access"),
    hosts: HOSTS.default(["*"]).meta({
      allowed: "a list of host names, each with an optional port",
    }).describe(
      "Hosts a task with network access may reach: `name`, `name:port`, `*.example.com`, or `*` for any public address. Loopback, private and link-local addresses only where named",
    ),
  }).prefault({}).describe("Network access of tasks"),
  filesystem: z.strictObject({
    allowed: z.boolean().default(false).describe("Whether a request may ask for a private scratch folder"),
    scratchMb: z.int().min(1).max(1_048_576).default(256).describe("Size of a task's scratch folder, in megabytes"),
  }).prefault({}).describe("File access of tasks"),
  environment: z.strictObject({
    allowedNames: NAMES.default([]).meta({ allowed: "a list of variable names, which may end in `*`" }).describe(
      "Environment variables a request may set for its task; a name that ends in `*` stands for all that start so",
    ),
  }).prefault({}).describe("Environment variables of tasks"),
  reuse: REUSE.default("never").describe(
    "Whether the sandbox of user code is destroyed after its task (never), or kept for tasks of the same caller with the same package and rights, each in a fresh worker (same-caller)",
  ),
  imports: z.strictObject({
    blocked: z.array(z.string().min(1).max(255)).max(10_000).default([]).meta({ allowed: "a list of module names" })
      .describe(
        "Modules that user code may not import, on top of those that no sandbox offers",
      ),
  }).prefault({}).describe("What user code may import"),
  packages: z.strictObject({
    maxCompressedMb: z.int().min(1).max(1_024).default(64).describe("Largest code package, in megabytes"),
    maxUnpackedMb: z.int().min(1).max(16_384).default(256).describe("Largest code package once unpacked, in megabytes"),
    maxFiles: z.int().min(1).max(1_000_000).default(10_000).describe("Files in one code package"),
    npm: NpmPolicy.prefault({}).describe("Packages of npm that TypeScript and JavaScript may depend on"),
    python: PythonIndexPolicy.prefault({}).describe("Packages that Python may depend on, beside those of its folder"),
  }).prefault({}).describe("Code packages, and what they may depend on"),
  callers: z.record(z.union([z.literal("*"), z.string().regex(CALLER_NAME)]), CallerPolicy).default({}).meta({
    allowed:
      "a table from callers (`*` for all that have no entry) to maxActiveTasks, maxRequestsPerSecond, cpuSecondsPerHour (0: no limit), ceilings, network, filesystem, environment and reuse",
  }).describe(
    "Quotas of callers by name, and what they get instead of the ceilings and grants of this file; `*` holds for all others and fills what an entry leaves out",
  ),
});
/** See {@linkcode PolicyOptions}. */
export type PolicyOptions = z.output<typeof PolicyOptions>;

/** Severity below which nothing is logged, from most to least talkative. */
export const LOG_LEVELS = ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL", "OFF"] as const;
const LEVEL = z.enum(LOG_LEVELS);
/** See {@linkcode LOG_LEVELS}. */
export type LogLevelName = z.output<typeof LEVEL>;

/** What is logged, how and where: the whole of logging.yaml. */
export const LoggingOptions = z.strictObject({
  level: LEVEL.default("INFO").describe("Severity below which nothing is logged"),
  format: z.enum(["auto", "pretty", "json"]).default("auto").describe(
    "How lines on stderr look: pretty for people, json for machines, or auto: pretty on a terminal",
  ),
  levels: z.record(z.string().regex(/^[a-z][a-z0-9_.]*$/), LEVEL)
    .default({}).meta({
      allowed:
        "a table from categories in small letters (`sandbox`, `rpc.calls`) to levels (TRACE, DEBUG, INFO, WARNING, ERROR, FATAL, OFF)",
    }).describe("Levels of single categories, such as `sandbox: DEBUG`"),
  file: z.strictObject({
    path: z.string().min(1).nullable().default(null).meta({ allowed: "a path, or null" }).describe(
      "File that gets JSON lines besides stderr; its folder must exist. null: none",
    ),
    maxBytes: z.int().min(4_096).max(10_737_418_240).default(16_777_216).describe(
      "Size at which the file is rotated, in bytes",
    ),
    maxFiles: z.int().min(1).max(1_000).default(5).describe("Rotated files kept"),
  }).prefault({}).describe("Log file"),
  redact: z.strictObject({
    fields: z.array(z.string().min(1).max(255)).max(1_000).default([]).meta({ allowed: "a list of names" }).describe(
      "Further field names whose values are never logged, besides token, authorization, password, secret and the like",
    ),
    patterns: z.array(
      z.string().min(1).max(1_000).refine(isRegularExpression),
    ).max(100).default([]).meta({ allowed: "a list of regular expressions" }).describe(
      "Further regular expressions whose matches are never logged, besides bearer tokens and JSON Web Tokens",
    ),
  }).prefault({}).describe("What is kept out of the log"),
});
/** See {@linkcode LoggingOptions}. */
export type LoggingOptions = z.output<typeof LoggingOptions>;

/** The whole configuration. */
export const Config = z.strictObject({
  server: ServerOptions.prefault({}).describe("The gRPC listener"),
  auth: AuthOptions.prefault({}).describe("Who may call"),
  execution: ExecutionSectionOptions.prefault({}).describe("Admission and default limits of executions"),
  sessions: SessionOptions.prefault({}).describe("Streams, and the sessions of objects"),
  sandbox: SandboxOptions.prefault({}).describe("How tasks are kept in"),
  pool: PoolOptions.prefault({}).describe("The pool of sandbox hosts"),
  python: PythonOptions.prefault({}).describe("User code in Python"),
  layers: LayerOptions.prefault({}).describe("Where installed packages are kept"),
  metrics: MetricsOptions.prefault({}).describe("The HTTP listener for metrics and health"),
  policy: PolicyOptions.prefault({}).describe("What requests may ask for"),
  logging: LoggingOptions.prefault({}).describe("What is logged, how and where"),
});
/** See {@linkcode Config}. */
export type Config = z.output<typeof Config>;

function isRegularExpression(source: string): boolean {
  try {
    new RegExp(source, "g");
    return true;
  } catch {
    return false;
  }
}
