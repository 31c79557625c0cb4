import { sliceOf, type Samples } from './audio';
import type { TertuliaEngine } from './engine';
import { EventReader, type ReplyTexts } from './events';
import type { SessionConfig, SessionUpdate, TertuliaEvent, TurnId } from './generated';
import { native, type SessionHandle } from './native';
import { startAudio, type AudioOptions, type SessionAudio } from './sessionAudio';

/**
 * A handle of an open session. It keeps its engine, but not the session open: `close` and `end` do, and the engine's end.
 *
 * No call waits; those that read the store are promises. Turns are numbers, from 1.
 */
export class TertuliaSession {
  /**
   * The session's events, until `session_closed`: `for await (const event of session.events)`. One loop at a time; one that
   * is left leaves the next events to the next one.
   */
  readonly events: AsyncIterable<TertuliaEvent>;
  private readonly reader: EventReader;

  /** @internal */
  constructor(
    private readonly handle: SessionHandle,
    /** The engine that it belongs to. */
    readonly engine: TertuliaEngine,
    /** The session's id, with which it can be opened again. */
    readonly id: string,
    texts: ReplyTexts,
  ) {
    this.events = this.reader = new EventReader(handle, texts);
  }

  /** The next event, if there is one now. Fails with SessionClosed after the last one. */
  tryNextEvent(): TertuliaEvent | undefined {
    return this.reader.tryNext();
  }

  /** The settings for the next turn. */
  get config(): SessionConfig {
    return this.call<SessionConfig>('config');
  }

  /**
   * Opens the device's microphone and loudspeaker for this session, and asks for the permission. Until it is closed the
   * samples of replies are played and not in the events; what was played is reported. One audio at a time: another fails
   * with EventsTaken, and with Unsupported where the platform has none.
   */
  startAudio(options: AudioOptions = {}): Promise<SessionAudio> {
    return startAudio(this.handle, options);
  }

  /**
   * Takes in audio of the microphone at `rate` Hz (8,000 to 192,000), in blocks of any length: floats of -1 to 1 or 16-bit
   * samples; those of several channels are interleaved, and averaged.
   */
  pushAudio(samples: Samples, rate: number, channels = 1): void {
    if (!(samples instanceof Int16Array)) return native.pushAudio(this.handle, ...sliceOf(samples), rate, channels);
    if (channels === 1) return native.pushAudioI16(this.handle, ...sliceOf(samples), rate);
    const floats = Float32Array.from(samples, (sample) => sample / 32_768);
    return native.pushAudio(this.handle, ...sliceOf(floats), rate, channels);
  }

  /** Takes in what the loudspeaker plays, for the engine's echo canceller. */
  pushPlayback(samples: Float32Array | ArrayBuffer, rate: number): void {
    native.pushPlayback(this.handle, ...sliceOf(samples), rate);
  }

  /** Starts a turn with one whole file (webm, mp4, ogg, wav, mp3 or flac). */
  pushEncoded(file: ArrayBuffer | Uint8Array): TurnId {
    return native.pushEncoded(this.handle, ...sliceOf(file));
  }

  /** Ends the utterance whose audio was pushed, and starts a turn. */
  endUtterance(): TurnId {
    return this.turn('end_utterance');
  }

  /** Drops the utterance under way; no turn begins. */
  discardUtterance(): void {
    this.call('discard_utterance');
  }

  /** Tells that the microphone was taken away. */
  inputInterrupted(): void {
    this.call('input_interrupted');
  }

  /** Tells that the microphone is back, and may be another one. */
  inputResumed(): void {
    this.call('input_resumed');
  }

  /** Starts a turn with a typed text. */
  sendText(text: string): TurnId {
    return this.turn('send_text', { text });
  }

  /** Starts a turn that speaks this text. */
  say(text: string): TurnId {
    return this.turn('say', { text });
  }

  /** Starts a turn with a reply that no utterance asked for: to instructions, or without them to open the conversation. */
  reply(instructions?: string): TurnId {
    return this.turn('reply', { instructions });
  }

  /** Retries a failed or interrupted turn as a new turn. Reads the store. */
  async retryTurn(turn: TurnId): Promise<TurnId> {
    return (await this.callLater<{ turn: TurnId }>('retry_turn', { turn })).turn;
  }

  /** Corrects the user's words of a turn; the conversation goes on from there. Reads the store. */
  async correct(turn: TurnId, text: string): Promise<TurnId> {
    return (await this.callLater<{ turn: TurnId }>('correct', { turn, text })).turn;
  }

  /** Interrupts the turn under way. */
  interrupt(): void {
    this.call('interrupt');
  }

  /** Interrupts the turn under way and all that wait. */
  interruptAll(): void {
    this.call('interrupt_all');
  }

  /** Reports how many samples of the turn's reply were played in total. */
  played(turn: TurnId, samplesTotal: number): void {
    this.call('played', { turn, samplesTotal });
  }

  /** Changes settings from the next turn on; null resets one to its default. */
  update(update: SessionUpdate): void {
    this.call('update', { update });
  }

  /** Closes the session without ending it: it can be opened again. `session_closed` is its last event. */
  close(): Promise<void> {
    return this.callLater('close_session');
  }

  /** Ends the session for good. */
  end(): Promise<void> {
    return this.callLater('end_session');
  }

  private turn(type: string, fields: object = {}): TurnId {
    return this.call<{ turn: TurnId }>(type, fields).turn;
  }

  private call<Answer = unknown>(type: string, fields: object = {}): Answer {
    return this.engine.call<Answer>({ type, session: this.id, ...fields });
  }

  private callLater<Answer = void>(type: string, fields: object = {}): Promise<Answer> {
    return this.engine.callLater<Answer>({ type, session: this.id, ...fields });
  }
}
