export { stream, type RandomStream, type StreamKey } from "./stream.ts";
export { permutation } from "./permutation.ts";
