import { TertuliaError } from './error';
import { asyncIterator } from './events';
import { ErrorCode } from './generated';
import { later, native, type Data, type JobHandle } from './native';

/** How a job is followed and stopped. */
export interface JobOptions {
  /** Cancels the job, which then fails with Cancelled. */
  signal?: AbortSignal;
  /** The share that is done, 0 to 1, when it changes. */
  onProgress?: (share: number) => void;
}

const PROGRESS_MS = 100;

const cancelled = () => new TertuliaError(ErrorCode.Cancelled, 'the job was cancelled');

/** A job's items, one after the other; each is worked for when it is asked for. */
export class EngineJob<Item> implements AsyncIterable<Item> {
  private job: JobHandle | undefined;
  private isStarted = false;
  private share = 0;

  /** @internal */
  constructor(
    private readonly start: () => JobHandle | Promise<JobHandle>,
    private readonly lift: (data: Data) => Item,
    private readonly options: JobOptions = {},
  ) {}

  [asyncIterator](): AsyncIterator<Item, undefined> {
    return {
      next: async () => {
        const value = await this.next();
        return value === undefined ? { done: true, value } : { done: false, value: this.lift(value) };
      },
      return: async () => {
        this.cancel();
        return { done: true, value: undefined };
      },
    };
  }

  /** Stops the job after the piece under way. */
  cancel(): void {
    this.isStarted = true;
    if (this.job) native.jobCancel(this.job);
  }

  /** @internal The only item of a job that has one. */
  async result(): Promise<Item> {
    const item = await this.next();
    if (item === undefined) throw cancelled();
    const result = this.lift(item);
    // Its end, so that nothing is left to do.
    await this.next();
    return result;
  }

  private async next(): Promise<Data | undefined> {
    const { signal } = this.options;
    if (!this.isStarted) {
      this.isStarted = true;
      if (signal?.aborted) throw cancelled();
      this.job = await this.start();
    }
    const job = this.job;
    if (!job) return undefined;
    const stop = () => native.jobCancel(job);
    // It may have been aborted while the job began.
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop);
    const stopWatching = this.watchProgress(job);
    try {
      return await later((task) => native.jobNext(task, job));
    } finally {
      stopWatching();
      signal?.removeEventListener('abort', stop);
      this.tell(job);
    }
  }

  private watchProgress(job: JobHandle): () => void {
    if (!this.options.onProgress) return () => {};
    const tick = () => {
      this.tell(job);
      timer = setTimeout(tick, PROGRESS_MS);
    };
    let timer = setTimeout(tick, PROGRESS_MS);
    return () => clearTimeout(timer);
  }

  private tell(job: JobHandle): void {
    const share = native.jobProgress(job);
    if (share !== this.share) this.options.onProgress?.(share);
    this.share = share;
  }
}
