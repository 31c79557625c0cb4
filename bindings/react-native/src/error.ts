import { ErrorCode, type ErrorName } from './generated';

const names = new Map<number, ErrorName>(Object.entries(ErrorCode).map(([name, code]) => [code, name as ErrorName]));

/** The error of a call: `code` and `name` tell errors apart. A backend of the host's may throw one, too. */
export class TertuliaError extends Error {
  /** The number in the table of errors, also where this version does not know it. */
  readonly code: number;
  /** The name in the table. */
  override readonly name: ErrorName;
  /** True where the same call can succeed later. */
  readonly retryable: boolean;
  /** Context and causes, for logs; no words of the user. */
  readonly detail: string;

  constructor(code: number, detail: string, retryable = false) {
    const name = names.get(code) ?? 'Unknown';
    super(`${name} (${code}): ${detail}`);
    // Compilers to older JavaScript lose the class of what extends Error.
    Object.setPrototypeOf(this, TertuliaError.prototype);
    this.code = code;
    this.name = name;
    this.retryable = retryable;
    this.detail = detail;
  }
}

/** An error of the library's, whose text begins with its name. */
export const errorOf = (code: number, name: string, retryable: boolean, text: string): Error => {
  const prefix = `${name} (${code}): `;
  return new TertuliaError(code, text.startsWith(prefix) ? text.slice(prefix.length) : text, retryable);
};
