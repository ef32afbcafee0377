/**
 * Sends at set times, whatever the answers do.
 * @module
 */

/** Something that sends at a steady pace. */
export interface PacedSource {
  readonly intervalMs: number;
  /**
   * Sends the next message.
   * @param dueAt when it should have been sent, by `performance.now()`: latency counts from here
   */
  send(dueAt: number): void;
  /** A message's time is over before it could be sent: a source in real time has the next one by now. */
  skip(): void;
}

/** When a source sends next. */
interface Appointment {
  readonly source: PacedSource;
  dueAt: number;
}

/** How a pacer kept its own times. */
export interface PaceReport {
  /** Calls `onLag` for each message: from when it was due to when it was sent, in milliseconds. */
  readonly onLag: (ms: number) => void;
}

/**
 * Lets sources send until a time comes. They start spread evenly over their interval, as real ones would: all at once
 * would measure how fast a burst of one frame of each is worked off.
 *
 * @returns when the last message has been sent
 */
export async function pace(
  sources: readonly PacedSource[],
  { seconds, onLag }: PaceReport & { readonly seconds: number },
): Promise<void> {
  const startedAt = performance.now();
  const endsAt = startedAt + seconds * 1_000;
  const appointments: Appointment[] = sources.map((source, index) => ({
    source,
    dueAt: startedAt + source.intervalMs * index / sources.length,
  }));
  for (let now = startedAt; now < endsAt; now = performance.now()) {
    let nextAt = endsAt;
    for (const appointment of appointments) {
      const { source } = appointment;
      for (; appointment.dueAt <= now; appointment.dueAt += source.intervalMs) {
        if (now - appointment.dueAt > source.intervalMs) {
          source.skip();
        } else {
          onLag(performance.now() - appointment.dueAt);
          source.send(appointment.dueAt);
        }
      }
      if (appointment.dueAt < nextAt) nextAt = appointment.dueAt;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, nextAt - performance.now())));
  }
}
