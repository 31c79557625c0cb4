/** JSON of the library's, whose names are in snake_case, and objects of JavaScript's, whose names are in camelCase. */
import { OPAQUE } from './generated';

const toCamel = (name: string) => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const toSnake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function renamed(value: unknown, rename: (name: string) => string): unknown {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    result[rename(name)] = OPAQUE.has(name) ? field : renamed(field, rename);
  }
  return result;
}

export const fromJson = <Result>(json: string): Result => renamed(JSON.parse(json), toCamel) as Result;

export const toJson = (value: unknown): string => JSON.stringify(renamed(value, toSnake));
