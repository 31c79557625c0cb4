// bundle.mjs SOURCE TARGET [--hermes]: one script of a program and the package, as Metro makes one; for Hermes by Babel's preset.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const tools = createRequire(join(process.env.TOOLS, 'package.json'));
const { buildSync } = tools('esbuild');
const [source, target, hermes] = process.argv.slice(2);
const here = new URL('.', import.meta.url).pathname;
buildSync({
  entryPoints: [source],
  outfile: target,
  bundle: true,
  format: 'iife',
  target: 'es2022',
  alias: { 'react-native': `${here}react-native.ts`, 'tertulia-react-native': `${here}../lib` },
  // As React Native's setUpGlobals.js.
  banner: { js: 'globalThis.global = globalThis.window = globalThis.self = globalThis;' },
  logLevel: 'warning',
});

if (hermes) {
  const babel = tools('@babel/core');
  const presets = [[tools.resolve('@react-native/babel-preset'), { disableImportExportTransform: true, enableBabelRuntime: false }]];
  const { code } = babel.transformFileSync(target, { presets, babelrc: false, configFile: false, compact: false, sourceType: 'script' });
  writeFileSync(target, code);
}
