// What the vendored scripts put on the page, for the type checker; the packages are those that `make vendor` fetches.
import type OpenSeadragonModule from "openseadragon";
import type * as TusModule from "tus-js-client";

declare global {
  interface Window {
    OpenSeadragon: typeof OpenSeadragonModule;
    tus: typeof TusModule;
  }
}
