/**
 * Entry of the Web Worker that runs one task of user code with network; see `task_worker.ts`. The order of these two is
 * what counts: the second locks.
 *
 * @module
 */

import "./capture_network.ts";
import "./task_worker.ts";
