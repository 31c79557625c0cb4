// spec.mjs FOLDER: writes the C++ base of the module from its TypeScript spec, by @react-native/codegen.
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const tools = createRequire(join(process.env.TOOLS, 'package.json'));
const { TypeScriptParser } = tools('@react-native/codegen/lib/parsers/typescript/parser');
const generators = ['GenerateModuleH', 'GenerateModuleCpp'].map((name) => tools(`@react-native/codegen/lib/generators/modules/${name}`));

const file = new URL('src/NativeTertulia.ts', import.meta.url).pathname;
const schema = new TypeScriptParser().parseString(readFileSync(file, 'utf8'), file);
const [folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
for (const generator of generators) {
  for (const [name, text] of generator.generate('TertuliaSpec', schema)) {
    const path = join(folder, name);
    // One that stays as it is makes no work for the compiler.
    if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
  }
}
