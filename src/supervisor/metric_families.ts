/**
 * Metrics of several processes as one text, in Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 * @module
 */

interface Family {
  help: string;
  type: string;
  /** By name and labels. */
  readonly samples: Map<string, number>;
}

/** What is taken of a text. */
export interface AddOptions {
  /** Goes into every sample as the label `front`. */
  readonly front: string;
  /** Leaves out what only holds while its process lives, gauges that is. */
  readonly totalsOnly?: boolean;
}

/** Metrics by name: each name once with its help and type, whoever has it. */
export class MetricFamilies {
  readonly #families = new Map<string, Family>();

  /**
   * Adds what a process tells. Totals of the same name and labels add up; of gauges the first holds.
   * @throws {TypeError} when a line cannot be read
   */
  add(text: string, { front, totalsOnly = false }: AddOptions): void {
    let name = "";
    let help = "";
    let type = "";
    for (const line of text.split("\n")) {
      const comment = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line);
      if (comment !== null) {
        if (comment[2] !== name) [name, help, type] = [comment[2]!, "", ""];
        if (comment[1] === "HELP") help = comment[3]!;
        else type = comment[3]!;
        continue;
      }
      if (line === "" || line.startsWith("#")) continue;
      const sample = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (sample === null) throw new TypeError(`Cannot read metrics: "${line.slice(0, 100)}" is no sample`);
      if (totalsOnly && !isTotal(type)) continue;
      const [, series, labels = "", value] = sample;
      const key = `${series}{front="${front}"${labels === "" ? "" : `,${labels}`}}`;
      this.#addSample(this.#family(name, help, type), key, toNumber(value!));
    }
  }

  /** Adds what another has. */
  addAll(other: MetricFamilies): void {
    for (const [name, { help, type, samples }] of other.#families) {
      const family = this.#family(name, help, type);
      for (const [key, value] of samples) this.#addSample(family, key, value);
    }
  }

  /** All of it as text. */
  render(): string {
    let text = "";
    for (const [name, { help, type, samples }] of this.#families) {
      if (samples.size === 0) continue;
      text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
      for (const [key, value] of samples) text += `${key} ${toText(value)}\n`;
      text += "\n";
    }
    return text;
  }

  #family(name: string, help: string, type: string): Family {
    const known = this.#families.get(name);
    if (known !== undefined) return known;
    const family: Family = { help, type, samples: new Map() };
    this.#families.set(name, family);
    return family;
  }

  #addSample({ type, samples }: Family, key: string, value: number): void {
    const before = samples.get(key);
    if (before === undefined) samples.set(key, value);
    else if (isTotal(type)) samples.set(key, before + value);
  }
}

/** Whether values of a type only grow, so that those of two processes after each other add up. */
function isTotal(type: string): boolean {
  return type === "counter" || type === "histogram";
}

function toText(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? "+Inf" : "-Inf";
}

/** `+Inf` and `-Inf` are the format's own. */
function toNumber(text: string): number {
  return Number(text.replace("Inf", "Infinity"));
}
