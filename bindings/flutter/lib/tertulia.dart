/// Tertulia: an embeddable, on-device engine for spoken conversation.
library;

import 'dart:async';
import 'dart:ffi';
import 'dart:isolate';
import 'dart:typed_data';

import 'package:ffi/ffi.dart';

import 'src/calls.dart' as calls;
import 'src/calls.dart' show Json;
import 'src/text.dart';

export 'src/bindings.g.dart' show ErrorCode;
export 'src/calls.dart' show Json, TertuliaException;

/// An event; [fields] are those of docs/events.md, with spans in UTF-16 units.
class TertuliaEvent {
  const TertuliaEvent(this.fields, this.audio);

  final Json fields;

  /// The mono samples of a `reply_audio_delta`, -1 to 1.
  final Float32List? audio;

  String get type => fields['type']! as String;
  int? get turn => fields['turn'] as int?;
}

/// An engine: sessions in a store, on the built-in models. Shut it down: without that it keeps its store until the app ends.
///
/// Calls that read the store or compute run on isolates of their own.
class TertuliaEngine {
  TertuliaEngine._(this._address);

  final int _address;

  /// Opens an engine; options are those of docs/schema/commands.json (EngineOptions).
  static Future<TertuliaEngine> open([Json options = const {}]) async =>
      TertuliaEngine._(await Isolate.run(() => calls.openEngine(options)));

  /// Makes the call that a command stands for (docs/schema): every call of the engine that has no method here.
  Future<Json> apply(Json command) {
    final engine = _address;
    return Isolate.run(() => calls.apply(engine, command));
  }

  /// Creates a session and opens it; the settings are those of SessionConfig.
  Future<TertuliaSession> createSession(Json config) async =>
      session((await apply({'type': 'create_session', 'config': config}))['session']! as String);

  /// Opens a stored session where it was left.
  Future<TertuliaSession> openSession(String id, [Json update = const {}]) async {
    await apply({'type': 'open_session', 'session': id, 'update': update});
    return session(id);
  }

  /// A handle of an open session.
  TertuliaSession session(String id) => TertuliaSession._(this, id, calls.openSession(_address, id));

  /// The sessions in the store, the one that changed last first.
  Future<Json> sessions({Json query = const {}, int limit = 50}) =>
      apply({'type': 'sessions', 'query': query, 'limit': limit});

  /// Turns of a session, after the turn [after] or from the first on.
  Future<Json> turns(String session, {int? after, int limit = 50}) =>
      apply({'type': 'turns', 'session': session, if (after != null) 'after': after, 'limit': limit});

  /// Deletes a session, which must not be open.
  Future<void> deleteSession(String session) => apply({'type': 'delete_session', 'session': session});

  /// Transcribes mono samples of -1 to 1 as one utterance.
  Future<Json> transcribe(Float32List samples, int rate, [List<String> languages = const []]) {
    final engine = _address;
    return Isolate.run(() => calls.transcribe(engine, samples, rate, languages));
  }

  /// Closes every session, stores everything, and stops; another engine can open the store then.
  Future<void> shutDown({Duration timeout = const Duration(seconds: 10)}) {
    final engine = _address;
    return Isolate.run(() => calls.shutDown(engine, timeout.inMilliseconds));
  }
}

/// A handle of an open session, which does not keep it open.
class TertuliaSession implements Finalizable {
  TertuliaSession._(this.engine, this.id, this._address) {
    _finalizer.attach(this, Pointer.fromAddress(_address));
  }

  static final _finalizer = NativeFinalizer(calls.dynamicLibrary.lookup('tertulia_session_free'));

  final TertuliaEngine engine;
  final String id;
  final int _address;
  final _replies = <int, Utf16Text>{};

  /// The session's events, until `session_closed`. Listen once: a listener that cancels may take an event with it.
  late final Stream<TertuliaEvent> events = _events();

  /// An isolate waits for events, so that no thread of the library calls Dart: one that does when the app is restarted would
  /// end it.
  Stream<TertuliaEvent> _events() async* {
    final port = ReceivePort();
    final isolate = await Isolate.spawn(_read, (port.sendPort, _address));
    try {
      await for (final message in port) {
        if (message is calls.TertuliaException) throw message;
        final event = _lifted(message! as (Json, Float32List?));
        yield event;
        if (event.type == 'session_closed') return;
      }
    } finally {
      port.close();
      isolate.kill(priority: Isolate.immediate);
    }
  }

  static void _read((SendPort, int) message) {
    final (port, session) = message;
    try {
      for (var isOpen = true; isOpen;) {
        final event = calls.nextEvent(session, 100);
        if (event == null) continue;
        port.send(event);
        isOpen = event.$1['type'] != 'session_closed';
      }
    } on calls.TertuliaException catch (error) {
      port.send(error);
    }
  }

  TertuliaEvent _lifted((Json, Float32List?) message) {
    final (fields, audio) = message;
    final turn = fields['turn'] as int? ?? 0;
    Utf16Text reply() => _replies.putIfAbsent(turn, Utf16Text.new);
    switch (fields['type']) {
      case 'transcript_partial':
        fields['stable_len'] = Utf16Text(fields['text']! as String).indexOf(fields['stable_len']! as int);
      case 'reply_text_delta':
        reply().text += fields['text']! as String;
      case 'reply_text_done':
        _replies[turn] = Utf16Text(fields['text']! as String);
      case 'reply_audio_delta':
        for (final word in (fields['words']! as List<Object?>).cast<Json>()) {
          word['text_span'] = reply().span(word['text_span']! as List<Object?>);
        }
        fields['text_span'] = reply().span(fields['text_span']! as List<Object?>);
      case 'turn_finished' || 'turn_interrupted' || 'turn_failed':
        _replies.remove(turn);
    }
    return TertuliaEvent(fields, audio);
  }

  /// Takes in mono samples of -1 to 1 from the microphone at [rate] Hz, in blocks of any length.
  void pushAudio(Float32List samples, int rate) => using((arena) {
        final copy = arena<Float>(samples.isEmpty ? 1 : samples.length)..asTypedList(samples.length).setAll(0, samples);
        calls.check((error) => calls.tertulia.sessionPushAudio(calls.sessionAt(_address), copy, samples.length, rate, error));
      });

  /// Starts a turn with one whole file (webm, mp4, ogg, wav, mp3 or flac).
  int pushEncoded(Uint8List file) => using((arena) {
        final copy = arena<Uint8>(file.isEmpty ? 1 : file.length)..asTypedList(file.length).setAll(0, file);
        final turn = arena<Uint64>();
        calls.check((error) => calls.tertulia.sessionPushEncoded(calls.sessionAt(_address), copy, file.length, turn, error));
        return turn.value;
      });

  /// Ends the utterance whose audio was pushed, and starts a turn.
  int endUtterance() => _turn({'type': 'end_utterance'});

  /// Starts a turn with a typed text.
  int sendText(String text) => _turn({'type': 'send_text', 'text': text});

  /// Starts a turn that speaks this text.
  int say(String text) => _turn({'type': 'say', 'text': text});

  /// Interrupts the turn under way.
  void interrupt() => _apply({'type': 'interrupt'});

  /// Tells that the microphone was taken away.
  void inputInterrupted() => _apply({'type': 'input_interrupted'});

  /// Tells that the microphone is back, and may be another one.
  void inputResumed() => _apply({'type': 'input_resumed'});

  /// Reports how many samples of the turn's reply were played in total.
  void played(int turn, int samplesTotal) => _apply({'type': 'played', 'turn': turn, 'samples_total': samplesTotal});

  /// Closes the session without ending it: it can be opened again.
  Future<void> close() => engine.apply({'type': 'close_session', 'session': id});

  /// Ends the session for good.
  Future<void> end() => engine.apply({'type': 'end_session', 'session': id});

  int _turn(Json command) => _apply(command)['turn']! as int;

  /// Calls that return at once.
  Json _apply(Json command) => calls.apply(engine._address, {...command, 'session': id});
}
