import { PermissionsAndroid, Platform, TurboModuleRegistry, type TurboModule } from 'react-native';
import { addAudio, later, native, removeAudio, type AudioHandle, type AudioNews, type SessionHandle } from './native';

/** A fault of an audio device. Capture and playback are tried again by themselves. */
export type AudioFault =
  | 'microphone_not_permitted' | 'microphone_unavailable' | 'microphone_lost' | 'microphone_format' | 'microphone_silent'
  | 'microphone_stalled' | 'speaker_unavailable';

/**
 * A change of a session's audio: another app or a call has it (`interrupted`), the microphone works again (`resumed`), a
 * headset came or went (`route_changed`), a device has a fault, or all is closed, which is the last one.
 */
export type AudioChange =
  | { readonly type: 'interrupted' | 'resumed' | 'route_changed' | 'closed' }
  | { readonly type: 'fault'; readonly fault: AudioFault; readonly detail: string };

export interface AudioOptions {
  /** Told of every change. Show faults and interruptions: the user speaks to nothing otherwise. */
  onChange?: (change: AudioChange) => void;
  /**
   * False where the app itself sets the AVAudioSession, or Android's mode and audio focus. It tells of an interruption by
   * `hold()`, and of its end by `resume()`.
   */
  managesFocus?: boolean;
  /** False where the app itself asks the user for the microphone. */
  asksForPermission?: boolean;
}

/** The module of Android, which makes its devices known to the module in C++. */
interface AudioModule extends TurboModule { install(): boolean }

const CHANGES: ReadonlySet<string> = new Set(['interrupted', 'resumed', 'route_changed', 'closed']);

const changeOf = ({ news, detail }: AudioNews): AudioChange =>
  (CHANGES.has(news) ? { type: news } : { type: 'fault', fault: news, detail }) as AudioChange;

/** The microphone and the loudspeaker of a session, until `close`, or the end of the session, or a reload. */
export class SessionAudio {
  private isClosed = false;

  /** @internal */
  constructor(private readonly handle: AudioHandle) {}

  /** Lets go of the devices for a time, as an interruption does: the session learns of it, and the reply is paused. */
  hold(): void {
    native.holdAudio(this.handle, 1);
  }

  /** Goes on after `hold`, or after an interruption that the system leaves to the user to end. */
  resume(): void {
    native.holdAudio(this.handle, 0);
  }

  /** Closes both devices; the session stays open, and its events have the samples again. Twice does no harm. */
  async close(): Promise<void> {
    if (this.isClosed) return;
    await later((task) => native.stopAudio(task, this.handle));
    this.isClosed = true;
  }
}

/** @internal */
export async function startAudio(session: SessionHandle, options: AudioOptions): Promise<SessionAudio> {
  const { onChange, managesFocus = true, asksForPermission = true } = options;
  if (Platform.OS === 'android') {
    TurboModuleRegistry.get<AudioModule>('TertuliaAudio')?.install();
    // One that is refused is a fault, as on iOS, until the user grants it in the settings.
    if (asksForPermission) await PermissionsAndroid.request('android.permission.RECORD_AUDIO');
  }
  const watch = addAudio((news) => {
    if (news.news === 'closed') removeAudio(watch);
    onChange?.(changeOf(news));
  });
  try {
    const json = JSON.stringify({ managesFocus, asksForPermission });
    return new SessionAudio(await later<AudioHandle>((task) => native.startAudio(task, session, json, watch)));
  } catch (error) {
    removeAudio(watch);
    throw error;
  }
}
