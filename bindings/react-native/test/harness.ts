/** The test runner: it prints what failed, and `N passed, N failed`. */
// React Native has the same two from the same packages.
import 'abort-controller/polyfill';

export interface Host {
  readonly generation: number;
  readonly arguments: readonly string[];
  print(line: string): void;
  read(path: string): ArrayBuffer;
  readText(path: string): string;
  write(path: string, bytes: ArrayBuffer): boolean;
  files(folder: string): string;
  now(): number;
  reload(): void;
  /** As the system ends an app: at once. */
  kill(): void;
  exit(code: number): void;
}

declare const globalThis: { host: Host };
export const host = globalThis.host;

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const shown = (value: unknown) => (value instanceof Error ? `${value.message}\n${value.stack ?? ''}` : JSON.stringify(value));

export function ok(condition: unknown, about: unknown): asserts condition {
  if (!condition) throw new Error(`expected: ${typeof about === 'string' ? about : shown(about)}`);
}

export function equal(actual: unknown, expected: unknown, about = ''): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${about} is ${a}, and not ${b}`);
}

/** The error of a call that must fail. */
export async function fails<E extends Error>(call: () => unknown, type: new (...args: never[]) => E): Promise<E> {
  try {
    await call();
  } catch (error) {
    if (error instanceof type) return error;
    throw new Error(`failed in another way: ${shown(error)}`);
  }
  throw new Error('it did not fail');
}

const TIMEOUT_MS = 60_000;

const within = <Result>(name: string, work: Promise<Result>): Promise<Result> => {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} takes longer than a minute`)), TIMEOUT_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
};

const all: [name: string, body: () => Promise<void>][] = [];

export function test(name: string, body: () => Promise<void>): void {
  all.push([name, body]);
}

/** Runs the tests whose name contains the first argument, and ends the process. */
export async function run(): Promise<void> {
  let passed = 0;
  let failed = 0;
  for (const [name, body] of all.filter(([name]) => name.includes(host.arguments[0] ?? ''))) {
    const start = host.now();
    try {
      await within(name, body());
      passed++;
      host.print(`ok ${name} (${Math.round(host.now() - start)} ms)`);
    } catch (error) {
      failed++;
      host.print(`FAILED ${name}: ${shown(error)}`);
    }
  }
  host.print(`${passed} passed, ${failed} failed`);
  host.exit(failed > 0 || passed === 0 ? 1 : 0);
}

/** Runs a program. */
export function main(body: () => Promise<void>): void {
  body().then(
    () => host.exit(0),
    (error: unknown) => {
      host.print(`FAILED ${shown(error)}`);
      host.exit(1);
    },
  );
}
