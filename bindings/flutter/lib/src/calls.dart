/// Calls into the library, with addresses for handles, so that any isolate can make them.
library;

import 'dart:convert';
import 'dart:ffi';
import 'dart:io';
import 'dart:typed_data';

import 'package:ffi/ffi.dart';

import 'bindings.g.dart';

final DynamicLibrary dynamicLibrary = Platform.isIOS || Platform.isMacOS
    ? DynamicLibrary.process()
    : DynamicLibrary.open(Platform.isWindows ? 'tertulia.dll' : 'libtertulia.so');

/// Each isolate has its own.
final TertuliaLibrary tertulia = _checked(TertuliaLibrary(dynamicLibrary));

TertuliaLibrary _checked(TertuliaLibrary library) {
  if (library.abiVersion() != abiVersionExpected) {
    throw StateError('the library tertulia has another version than this package');
  }
  return library;
}

typedef Json = Map<String, Object?>;
typedef ErrorPlace = Pointer<Pointer<RawError>>;

/// The error of a call: [code] and [name] tell errors apart.
class TertuliaException implements Exception {
  const TertuliaException(this.code, this.name, this.detail, {required this.isRetryable});

  /// One of [ErrorCode], or one of a newer library.
  final int code;

  /// The code's name in the table of errors.
  final String name;

  /// Context and causes, for logs; no words of the user.
  final String detail;

  /// True where the same call can succeed later.
  final bool isRetryable;

  @override
  String toString() => detail;
}

/// Makes a call, whose error is thrown.
void check(int Function(ErrorPlace error) call) {
  final place = calloc<Pointer<RawError>>();
  try {
    final code = call(place);
    if (code == 0) return;
    final error = place.value;
    throw TertuliaException(
      code,
      tertulia.errorName(code).toDartString(),
      tertulia.errorDetail(error).toDartString(),
      isRetryable: tertulia.errorIsRetryable(error) != 0,
    );
  } finally {
    tertulia.errorFree(place.value);
    calloc.free(place);
  }
}

/// The JSON of data, and its samples, which are freed.
(Object?, Float32List?) takeData(Pointer<RawData> data) => using((arena) {
      final json = tertulia.dataJson(data);
      final count = arena<Size>();
      final samples = tertulia.dataF32(data, count);
      try {
        return (
          json == nullptr ? null : jsonDecode(json.toDartString()),
          samples == nullptr ? null : Float32List.fromList(samples.asTypedList(count.value)),
        );
      } finally {
        tertulia.dataFree(data);
      }
    });

/// Opens an engine, and gives its address. Waits for the disk.
int openEngine(Json options) => using((arena) {
      final place = arena<Pointer<RawEngine>>();
      final text = jsonEncode(options).toNativeUtf8(allocator: arena);
      check((error) => tertulia.engineOpen(text, nullptr, place, error));
      return place.value.address;
    });

Pointer<RawEngine> engineAt(int address) => Pointer.fromAddress(address);
Pointer<RawSession> sessionAt(int address) => Pointer.fromAddress(address);
Pointer<RawJob> jobAt(int address) => Pointer.fromAddress(address);

/// Makes the call that a command stands for.
Json apply(int engine, Json command) => using((arena) {
      final place = arena<Pointer<RawData>>();
      final text = jsonEncode(command).toNativeUtf8(allocator: arena);
      check((error) => tertulia.engineApply(engineAt(engine), text, place, error));
      return takeData(place.value).$1! as Json;
    });

/// A handle of an open session.
int openSession(int engine, String id) => using((arena) {
      final place = arena<Pointer<RawSession>>();
      check((error) => tertulia.engineSession(engineAt(engine), id.toNativeUtf8(allocator: arena), place, error));
      return place.value.address;
    });

/// Waits for the next event: its JSON and its samples.
(Json, Float32List?)? nextEvent(int session, int timeoutMs) => using((arena) {
      final place = arena<Pointer<RawEvent>>();
      check((error) => tertulia.sessionNextEvent(sessionAt(session), timeoutMs, place, error));
      final event = place.value;
      if (event == nullptr) return null;
      try {
        final count = arena<Size>();
        final samples = tertulia.eventAudio(event, count, arena<Uint32>());
        return (
          jsonDecode(tertulia.eventJson(event).toDartString()) as Json,
          samples == nullptr ? null : Float32List.fromList(samples.asTypedList(count.value)),
        );
      } finally {
        tertulia.eventFree(event);
      }
    });

/// Shuts an engine down and frees it; waits.
void shutDown(int engine, int timeoutMs) {
  try {
    check((error) => tertulia.engineShutDown(engineAt(engine), timeoutMs, nullptr, error));
  } finally {
    tertulia.engineFree(engineAt(engine));
  }
}

/// The transcript of samples; does the work on this thread.
Json transcribe(int engine, Float32List samples, int rate, List<String> languages) => using((arena) {
      final place = arena<Pointer<RawJob>>();
      final copy = arena<Float>(samples.isEmpty ? 1 : samples.length)..asTypedList(samples.length).setAll(0, samples);
      final tags = languages.isEmpty ? nullptr : languages.join(',').toNativeUtf8(allocator: arena);
      check((error) => tertulia.engineTranscribe(engineAt(engine), copy, samples.length, rate, tags, place, error));
      final job = place.value;
      try {
        final item = arena<Pointer<RawData>>();
        check((error) => tertulia.jobNext(job, item, error));
        return takeData(item.value).$1! as Json;
      } finally {
        tertulia.jobFree(job);
      }
    });
