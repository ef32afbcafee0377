/** Version of the service, as GetStatus, the command line and the metrics tell it. */
export const SERVICE_VERSION = "0.1.0";
