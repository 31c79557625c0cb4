/** WAV files of mono 16-bit samples. */

export function wavOf(blocks: readonly ArrayBuffer[], rate: number): ArrayBuffer {
  const samples = blocks.flatMap((block) => [...new Float32Array(block)]);
  const file = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const text = (at: number, text: string) => [...text].forEach((letter, n) => file.setUint8(at + n, letter.charCodeAt(0)));
  text(0, 'RIFF');
  file.setUint32(4, 36 + samples.length * 2, true);
  text(8, 'WAVEfmt ');
  file.setUint32(16, 16, true);
  file.setUint16(20, 1, true);
  file.setUint16(22, 1, true);
  file.setUint32(24, rate, true);
  file.setUint32(28, rate * 2, true);
  file.setUint16(32, 2, true);
  file.setUint16(34, 16, true);
  text(36, 'data');
  file.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, at) => file.setInt16(44 + at * 2, Math.max(-1, Math.min(1, sample)) * 32_767, true));
  return file.buffer;
}

export const samplesOf = (file: ArrayBuffer) => ({ samples: new Int16Array(file, 44), rate: new DataView(file).getUint32(24, true) });
