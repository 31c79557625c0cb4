// bundle.mjs SOURCE TARGET: one script of a program and the package, as Metro makes one.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { buildSync } = createRequire(join(process.env.TOOLS, 'package.json'))('esbuild');
const [source, target] = process.argv.slice(2);
const here = new URL('.', import.meta.url).pathname;
buildSync({
  entryPoints: [source],
  outfile: target,
  bundle: true,
  format: 'iife',
  target: 'es2020',
  alias: { 'react-native': `${here}react-native.ts`, 'tertulia-react-native': `${here}../lib` },
  // As React Native's setUpGlobals.js.
  banner: { js: 'globalThis.global = globalThis.window = globalThis.self = globalThis;' },
  logLevel: 'warning',
});
