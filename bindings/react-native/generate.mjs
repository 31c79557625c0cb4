// generate.mjs [--check]: writes src/generated.ts from include/errors.md and docs/schema/*.json, or compares it with them.
import { readFileSync, writeFileSync } from 'node:fs';

const root = new URL('../../', import.meta.url);
const target = new URL('src/generated.ts', import.meta.url);
const read = (path) => readFileSync(new URL(path, root), 'utf8');
const schemas = ['outputs', 'events', 'commands'].map((name) => JSON.parse(read(`docs/schema/${name}.json`)));

// docs/binding-names.md; the rest keeps its name.
const names = { Stage: 'TurnStage', Transcript: 'SpeechTranscript', Summary: 'ConversationSummary', Event: 'TertuliaEvent' };
// The calls of this package stand in the place of commands; `code` is a number that a newer library may add to.
const leftOut = new Set(['Command', 'CommandOutput', 'ErrorCode']);
// Fields whose value is JSON of the host's own, or a table whose keys are: their names stay as they are.
const opaque = new Set();

const types = new Set(schemas[1].$defs.Event.oneOf.map((kind) => kind.properties.type.const));

const camel = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
const typeName = (name) => names[name] ?? name;

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.endsWith('/ErrorCode') ? 'number' : typeName(schema.$ref.split('/').pop());
  if (schema.const !== undefined) return JSON.stringify(schema.const).replaceAll('"', "'");
  const either = schema.oneOf ?? schema.anyOf;
  if (either && !schema.properties) return either.map(typeOf).join(' | ');
  if (Array.isArray(schema.type)) {
    return schema.type.map((type) => typeOf({ ...schema, type })).join(' | ');
  }
  switch (schema.type) {
    case 'integer': case 'number': return 'number';
    case 'string': case 'boolean': case 'null': return schema.type;
    case 'array':
      if (schema.maxItems === 2) return `[${typeOf(schema.items)}, ${typeOf(schema.items)}]`;
      return /[|]/.test(typeOf(schema.items)) ? `(${typeOf(schema.items)})[]` : `${typeOf(schema.items)}[]`;
    case 'object': return objectOf(schema);
    default: return 'unknown';
  }
}

function objectOf(schema) {
  if (schema.properties) return `{${fields(schema).join('; ').replaceAll('\n', ' ')}}`;
  const values = schema.additionalProperties || Object.values(schema.patternProperties ?? {})[0];
  return values ? `Record<string, ${typeOf(values)}>` : 'Record<string, never>';
}

const isTable = (schema) => !schema.properties && ((schema.type ?? '').includes?.('object') || !Object.keys(schema).some((key) =>
  ['$ref', 'type', 'const', 'oneOf', 'anyOf'].includes(key)));

function doc(text, indent) {
  // Names of Rust in texts.
  const plain = (text ?? '').replace(/`(?:\w+::)+(\w+)`/g, '`$1`').replace(/`([a-z]+_[a-z_]+)`/g, (text, name) => (types.has(name) ? text : `\`${camel(name)}\``));
  return plain ? `${indent}/** ${plain.replaceAll('\n\n', ' ').replaceAll('*/', '* /')} */\n` : '';
}

function fields(schema, indent = '') {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, field]) => {
    if (isTable(field)) opaque.add(name);
    const isSpan = name === 'text_span' || name === 'stable_len';
    const about = isSpan ? field.description.replace(/[Bb]ytes/g, 'UTF-16 units') : field.description;
    return `${indent ? doc(about, indent) : ''}${indent}${camel(name)}${required.has(name) ? '' : '?'}: ${typeOf(field)}`;
  });
}

function members(schema) {
  return fields(schema, '  ').map((field) => `${field};\n`).join('');
}

/** Every type of event by itself, so that `switch (event.type)` narrows. */
function events(schema) {
  const common = members({ properties: schema.properties, required: schema.required });
  const kinds = schema.oneOf.map((kind) => {
    const type = kind.properties.type.const;
    const name = `${type[0].toUpperCase()}${camel(type).slice(1)}Event`;
    const audio = type === 'reply_audio_delta' ? '  /** Its samples: mono, 32-bit floats of -1 to 1. */\n  audio: ArrayBuffer;\n' : '';
    const bases = ['EventFields', ...(kind.$ref ? [typeOf(kind)] : [])];
    return [name, `${doc(kind.description, '')}export interface ${name} extends ${bases.join(', ')} {\n${members(kind)}${audio}}\n`];
  });
  return `/** Fields of every event. */\nexport interface EventFields {\n${common}}\n\n${kinds.map(([, text]) => text).join('\n')}
${doc(schema.description, '')}export type TertuliaEvent =\n${kinds.map(([name]) => `  | ${name}`).join('\n')};\n`;
}

function definitions() {
  const all = Object.assign({}, ...schemas.map((schema) => schema.$defs));
  const sorted = Object.entries(all).filter(([name]) => !leftOut.has(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([name, schema]) => {
    if (name === 'Event') return events(schema);
    if (schema.type === 'object' && schema.properties) {
      return `${doc(schema.description, '')}export interface ${typeName(name)} {\n${members(schema)}}\n`;
    }
    return `${doc(schema.description, '')}export type ${typeName(name)} = ${typeOf(schema)};\n`;
  }).join('\n');
}

function errors() {
  const rows = [...read('include/errors.md').matchAll(/^\| (\d+) \| `(\w+)` \| (.*?) \| (.*) \|$/gm)];
  if (rows.length < 50) throw new Error('include/errors.md has another form');
  return rows.map(([, number, name, again, meaning]) =>
    `  /** ${meaning}${again ? ' The same call can succeed later.' : ''} */\n  ${name}: ${number},\n`).join('');
}

const definitionsText = definitions();
const text = `// Generated by generate.mjs from include/errors.md and docs/schema: do not edit.

/** The codes of errors, by name. A newer library may have more. */
export const ErrorCode = {
${errors()}} as const;

/** The name of an error's code; \`Unknown\` for one of a newer library. */
export type ErrorName = keyof typeof ErrorCode | 'Unknown';

/** Fields whose members are the host's own, by their names in JSON. */
export const OPAQUE: ReadonlySet<string> = new Set([${[...opaque].sort().map((name) => `'${name}'`).join(', ')}]);

${definitionsText}`;

if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== text) {
    console.error('src/generated.ts is not up to date; `node generate.mjs` writes it');
    process.exit(1);
  }
} else {
  writeFileSync(target, text);
}
