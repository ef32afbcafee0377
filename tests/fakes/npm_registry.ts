/**
 * A registry of npm on the loopback interface, with packages that a test makes up.
 * @module
 */

/** A version of a package. */
export interface FakeVersion {
  /** Texts by path. `package.json` is made of the rest where it is missing. */
  readonly files?: Readonly<Record<string, string>>;
  /** Fields of package.json, `dependencies` and `exports` say. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Days ago. */
  readonly ageDays?: number;
  /** Instead of the archive's own. */
  readonly integrity?: string;
  /** Instead of what is made of `files`. */
  readonly archive?: Uint8Array<ArrayBuffer>;
  /** Where the registry says that the archive lies. */
  readonly tarball?: string;
}

/** Names with their versions. */
export type FakePackages = Readonly<Record<string, Readonly<Record<string, FakeVersion>>>>;

/** An entry of a tar. */
export interface TarEntry {
  readonly path: string;
  readonly content?: string;
  /** `0` is a file, `2` a symbolic link, `5` a folder. */
  readonly type?: string;
  readonly link?: string;
}

const DAY_MS = 86_400_000;
const encoder = new TextEncoder();

/** Packs a tar (POSIX.1-2017 ustar), as npm does. */
export async function tarball(entries: readonly TarEntry[]): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (const { path, content = "", type = "0", link = "" } of entries) {
    const bytes = encoder.encode(content);
    const header = new Uint8Array(512);
    const write = (text: string, at: number) => header.set(encoder.encode(text), at);
    write(path, 0);
    write("0000644\0", 100);
    write(`${bytes.length.toString(8).padStart(11, "0")}\0`, 124);
    write("00000000000\0", 136);
    write("        ", 148);
    write(type, 156);
    write(link, 157);
    write("ustar\0" + "00", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    const padded = new Uint8Array(Math.ceil(bytes.length / 512) * 512);
    padded.set(bytes);
    pieces.push(header, padded);
  }
  return await gzip(new Blob([...pieces, new Uint8Array(1_024)]));
}

/** Packs with gzip. */
export async function gzip(blob: Blob): Promise<Uint8Array<ArrayBuffer>> {
  return await new Response(blob.stream().pipeThrough(new CompressionStream("gzip"))).bytes();
}

/** Answers a path in a way of its own. */
export type SpecialAnswer = (path: string, url: string) => Response | Promise<Response> | undefined;

/** See the module. */
export class FakeRegistry implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #packages: FakePackages;
  /** Paths that were asked for, in order. */
  readonly requests: string[] = [];
  readonly #special: SpecialAnswer;

  private constructor(packages: FakePackages, special: SpecialAnswer) {
    this.#packages = packages;
    this.#special = special;
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => this.#answer(request),
    );
  }

  static serve(
    packages: FakePackages,
    special: SpecialAnswer = () => undefined,
  ): FakeRegistry {
    return new FakeRegistry(packages, special);
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    const path = decodeURIComponent(new URL(request.url).pathname).slice(1);
    this.requests.push(path);
    const special = await this.#special(path, this.url);
    if (special !== undefined) return special;
    const [, archived, version] = /^(.+)\/-\/(.+)\.tgz$/.exec(path) ?? [];
    if (archived !== undefined && version !== undefined) {
      const found = this.#packages[archived]?.[version];
      return found === undefined ? notFound() : new Response(await archiveOf(archived, version, found));
    }
    const versions = this.#packages[path];
    return versions === undefined ? notFound() : Response.json(await this.#document(path, versions));
  }

  async #document(name: string, versions: Readonly<Record<string, FakeVersion>>): Promise<unknown> {
    const entries = await Promise.all(
      Object.entries(versions).map(async ([version, fake]) => {
        const archive = await archiveOf(name, version, fake);
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-512", archive)).toBase64();
        const dist = {
          tarball: fake.tarball ?? `${this.url}/${name}/-/${version}.tgz`,
          integrity: fake.integrity ?? `sha512-${digest}`,
        };
        return [version, { name, version, ...fake.fields, dist }] as const;
      }),
    );
    const times = Object.entries(versions).map(([version, { ageDays = 100 }]) =>
      [version, new Date(Date.now() - ageDays * DAY_MS).toISOString()] as const
    );
    return {
      name,
      "dist-tags": { latest: Object.keys(versions).at(-1) },
      versions: Object.fromEntries(entries),
      time: Object.fromEntries(times),
    };
  }
}

async function archiveOf(
  name: string,
  version: string,
  { files = {}, fields = {}, archive }: FakeVersion,
): Promise<Uint8Array<ArrayBuffer>> {
  if (archive !== undefined) return archive;
  const all = { "package.json": JSON.stringify({ name, version, ...fields }), ...files };
  return await tarball(Object.entries(all).map(([path, content]) => ({ path: `package/${path}`, content })));
}

function notFound(): Response {
  return new Response("{}", { status: 404 });
}
