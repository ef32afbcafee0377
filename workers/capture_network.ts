/**
 * Captures the network functions. The first module of a worker with network.
 * @module
 */

import { setNetworkApi } from "./granted_network_api.ts";
import { grantNetwork } from "./network/granted_network.ts";

setNetworkApi({ grant: grantNetwork, classes: { Request, Response, Headers, FormData, File } });
