import { TertuliaError } from './error';
import { ErrorCode, type TertuliaEvent } from './generated';
import { fromJson } from './json';
import { native, unwatch, watch, type Data, type EngineHandle, type SessionHandle } from './native';
import { Utf16Text } from './text';

/** Hermes has no such symbol of its own; this is the name that Babel's `for await` takes then. */
export const asyncIterator: typeof Symbol.asyncIterator = Symbol.asyncIterator ?? '@@asyncIterator';

/** The replies under way of one session, on which the spans of its events stand. */
export class ReplyTexts {
  private readonly replies = new Map<number, Utf16Text>();

  /** An event of the library's, with spans in UTF-16 units, and its samples. */
  lifted({ json, audio }: Data): TertuliaEvent {
    const event = fromJson<TertuliaEvent>(json);
    const turn = event.turn ?? 0;
    switch (event.type) {
      case 'transcript_partial':
        event.stableLen = new Utf16Text(event.text).indexOf(event.stableLen);
        break;
      case 'reply_text_delta':
        this.reply(turn).text += event.text;
        break;
      case 'reply_text_done':
        this.replies.set(turn, new Utf16Text(event.text));
        break;
      case 'reply_audio_delta': {
        const reply = this.reply(turn);
        // The chunk's words first: their spans lie inside of the chunk's.
        for (const word of event.words) word.textSpan = reply.span(word.textSpan);
        event.textSpan = reply.span(event.textSpan);
        event.audio = audio ?? new ArrayBuffer(0);
        break;
      }
      case 'turn_finished':
      case 'turn_interrupted':
      case 'turn_failed':
        this.replies.delete(turn);
        break;
    }
    return event;
  }

  private reply(turn: number): Utf16Text {
    const reply = this.replies.get(turn) ?? new Utf16Text();
    this.replies.set(turn, reply);
    return reply;
  }
}

/**
 * The events of a session or an engine: `for await (const event of session.events)`. One loop at a time: another fails with
 * EventsTaken. A loop that is left leaves the next events to the next one.
 */
export class EventReader implements AsyncIterable<TertuliaEvent> {
  private watched: number | undefined;
  private waiting: { resolve: () => void } | undefined;
  private isTaken = false;

  /** @internal */
  constructor(
    private readonly source: EngineHandle | SessionHandle,
    private readonly texts: ReplyTexts,
  ) {}

  /** The next event, if there is one now. Fails with SessionClosed after the last one. */
  tryNext(): TertuliaEvent | undefined {
    const data = native.nextEvent(this.source);
    return data && this.texts.lifted(data);
  }

  [asyncIterator](): AsyncIterator<TertuliaEvent, undefined> {
    let owns = false;
    let isOver = false;
    const over = () => {
      if (owns) this.release();
      owns = false;
      isOver = true;
      return { done: true as const, value: undefined };
    };
    return {
      next: async () => {
        if (isOver) return over();
        if (!owns && this.isTaken) {
          throw new TertuliaError(ErrorCode.EventsTaken, 'another loop reads these events');
        }
        owns = this.isTaken = true;
        try {
          const value = await this.next(() => isOver);
          return value ? { done: false, value } : over();
        } catch (error) {
          over();
          throw error;
        }
      },
      return: async () => over(),
    };
  }

  /** Waits for the next event; none after the last one, or once it is not wanted any more. */
  private async next(isUnwanted: () => boolean): Promise<TertuliaEvent | undefined> {
    for (;;) {
      try {
        const event = isUnwanted() ? undefined : this.tryNext();
        if (event || isUnwanted()) return event;
        this.watched ??= watch(this.source, () => this.waiting?.resolve());
        // What came before the watch has no wakeup.
        const first = this.tryNext();
        if (first) return first;
      } catch (error) {
        if (error instanceof TertuliaError && ENDS.has(error.code)) return undefined;
        throw error;
      }
      await new Promise<void>((resolve) => (this.waiting = { resolve }));
      this.waiting = undefined;
    }
  }

  private release(): void {
    this.isTaken = false;
    if (this.watched !== undefined) unwatch(this.watched);
    this.watched = undefined;
    this.waiting?.resolve();
  }
}

/** After these there are no more events. */
const ENDS: ReadonlySet<number> = new Set([ErrorCode.SessionClosed, ErrorCode.EngineClosed]);
