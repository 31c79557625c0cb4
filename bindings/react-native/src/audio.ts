import type { Slice } from './native';

/** Samples: an array of them, or a whole buffer of 32-bit floats. */
export type Samples = Float32Array | Int16Array | ArrayBuffer;

/** The bytes of a view, at the right place for samples. */
export function sliceOf(audio: ArrayBuffer | ArrayBufferView): Slice {
  if (audio instanceof ArrayBuffer) return [audio, 0, audio.byteLength];
  return [audio.buffer as ArrayBuffer, audio.byteOffset, audio.byteLength];
}

/** Samples as 32-bit floats of -1 to 1. */
export function floatsOf(samples: Samples): Slice {
  if (!(samples instanceof Int16Array)) return sliceOf(samples);
  return sliceOf(Float32Array.from(samples, (sample) => sample / 32_768));
}
