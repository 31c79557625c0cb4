/*
 * A spoken turn on backends written in C, and everything around it: sessions, events, jobs, archives, errors.
 *
 * C99, and C++ as well: include/tertulia.h is included twice.
 */
#define _POSIX_C_SOURCE 200809L
#include "common.h"
#include "tertulia.h"

#include <stddef.h>
#include <time.h>

/* The call fails with the code. */
#define FAILS(expected, call)                                                               \
  do {                                                                                      \
    tertulia_error *error = NULL;                                                           \
    tertulia_error **out = &error;                                                          \
    int32_t code = (call);                                                                  \
    if (code != (expected) || tertulia_error_code(error) != code) {                         \
      fprintf(stderr, "%s:%d: %s gave %d: %s\n", __FILE__, __LINE__, #call, (int)code,      \
              tertulia_error_detail(error));                                                \
      exit(1);                                                                              \
    }                                                                                       \
    CHECK(tertulia_error_free(error) == TERTULIA_OK);                                       \
  } while (0)

/* The host's state behind its backends. */
typedef struct {
  int requests, released, fails;
} host;

static int32_t recognize(void *user_data, const char *request, const float *samples, size_t count,
                         tertulia_sink *sink) {
  host *state = (host *)user_data;
  state->requests++;
  CHECK(samples != NULL && count >= 16000 && strstr(request, "\"languages\":[") != NULL);
  OK(tertulia_sink_partial(sink, "Hola, me", out));
  OK(tertulia_sink_transcript(sink, "Hola, me llamo Ana.", out));
  FAILS(TERTULIA_ERROR_INVALID_ARGUMENT, tertulia_sink_text(sink, "no", out));
  OK(tertulia_sink_done(sink, out));
  FAILS(TERTULIA_ERROR_INVALID_ARGUMENT, tertulia_sink_partial(sink, "late", out));
  return tertulia_sink_free(sink);
}

static int32_t reply(void *user_data, const char *request, tertulia_sink *sink) {
  host *state = (host *)user_data;
  state->requests++;
  CHECK(strstr(request, "\"role\":\"user\"") != NULL && strstr(request, "\"purpose\":\"reply\"") != NULL);
  if (state->fails == 1) {
    OK(tertulia_sink_fail(sink, TERTULIA_ERROR_CHAT_FAILED, "the model died", out));
    return tertulia_sink_free(sink);
  }
  if (state->fails == 2) {
    return 12345; /* no code of the table; the sink is the engine's again */
  }
  OK(tertulia_sink_text(sink, "\xc2\xa1" "Encantado, ", out));
  OK(tertulia_sink_text(sink, "Ana!", out));
  OK(tertulia_sink_done(sink, out));
  return tertulia_sink_free(sink);
}

static int32_t speak(void *user_data, const char *request, tertulia_sink *sink) {
  static float samples[2400];
  const char *text = strstr(request, "\"text\":\"") + 8;
  size_t length = (size_t)(strchr(text, '"') - text), at;
  ((host *)user_data)->requests++;
  for (at = 0; at < 2400; at++) samples[at] = (float)(at % 100) / 200.0f;
  OK(tertulia_sink_audio(sink, samples, 2400, 24000, 0, length, out));
  OK(tertulia_sink_done(sink, out));
  return tertulia_sink_free(sink);
}

static void release(void *user_data) { ((host *)user_data)->released++; }

static tertulia_engine *open_engine(host *state, const char *options) {
  tertulia_backend recognizer = backend_named("c-recognizer", state, release);
  tertulia_backend chat = backend_named("c-chat", state, release), voice = backend_named("c-voice", state, release);
  tertulia_engine *engine = NULL;
  recognizer.recognize = recognize;
  chat.request = reply;
  voice.request = speak;
  OK(open_on(options, &recognizer, &chat, &voice, &engine, out));
  CHECK(engine != NULL);
  return engine;
}

/* A new session; its id is copied into `id`. */
static tertulia_session *new_session(tertulia_engine *engine, char id[37]) {
  tertulia_session *session = NULL;
  OK(create_session(engine, ",\"playback\":\"assumed\"", id, &session, out));
  return session;
}

/* Reads events until one of this type, which is left in `event`; the samples of reply audio on the way. */
static size_t until(tertulia_session *session, const char *type, tertulia_event **event) {
  char wanted[64];
  size_t samples = 0;
  sprintf(wanted, "\"type\":\"%s\"", type);
  for (;;) {
    size_t count;
    uint32_t rate;
    OK(tertulia_session_next_event(session, 10000, event, out));
    CHECK(*event != NULL);
    if (tertulia_event_audio(*event, &count, &rate) != NULL) {
      CHECK(rate == 24000 && tertulia_event_turn(*event) > 0);
      samples += count;
    }
    if (strstr(tertulia_event_json(*event), wanted) != NULL) return samples;
    CHECK(tertulia_event_free(*event) == TERTULIA_OK);
  }
}

static void push_a_second(tertulia_session *session) {
  static float samples[320];
  int block;
  for (block = 0; block < 50; block++) {
    samples[block] = 0.1f;
    OK(tertulia_session_push_audio(session, samples, 320, 16000, out));
  }
}

/* Runs a job to its end; the JSON of its last item must hold `expected`. */
static void finish(tertulia_job *job, const char *expected) {
  tertulia_data *item = NULL, *last = NULL;
  for (;;) {
    OK(tertulia_job_next(job, &item, out));
    if (item == NULL) break;
    tertulia_data_free(last);
    last = item;
  }
  CHECK(last != NULL && strstr(tertulia_data_json(last), expected) != NULL);
  CHECK(tertulia_job_progress(job) == 1.0f);
  tertulia_data_free(last);
  CHECK(tertulia_job_free(job) == TERTULIA_OK);
}

static void wake(void *user_data) { *(volatile int *)user_data = 1; }

static void spoken_turn(const char *folder) {
  host state = {0, 0, 0};
  char options[600], path[500], command[200], id[37];
  tertulia_engine *engine;
  tertulia_session *session;
  tertulia_event *event;
  tertulia_data *data = NULL;
  tertulia_job *job = NULL;
  uint64_t turn = 0;
  size_t count;
  volatile int woken = 0;
  sprintf(options, "{\"store\":{\"path\":\"%s/sessions.redb\"},\"models\":{\"vad\":\"none\",\"turn_detector\":\"none\"}}",
          folder);
  engine = open_engine(&state, options);
  session = new_session(engine, id);
  OK(tertulia_session_set_wakeup(session, wake, (void *)&woken, out));

  push_a_second(session);
  OK(tertulia_session_end_utterance(session, &turn, out));
  CHECK(turn == 1);
  until(session, "transcript_done", &event);
  CHECK(strstr(tertulia_event_json(event), "Hola, me llamo Ana.") != NULL);
  tertulia_event_free(event);
  CHECK(until(session, "turn_finished", &event) == 2400);
  CHECK(strstr(tertulia_event_json(event), "Encantado, Ana!") != NULL && tertulia_event_turn(event) == 1);
  tertulia_event_free(event);
  CHECK(woken > 0 && state.requests == 3);

  /* A host's backend that fails, with a code of the table and with another. */
  for (state.fails = 1; state.fails <= 2; state.fails++) {
    push_a_second(session);
    OK(tertulia_session_end_utterance(session, NULL, out));
    until(session, "turn_failed", &event);
    CHECK(strstr(tertulia_event_json(event), state.fails == 1 ? "the model died" : "HostCallback") != NULL);
    tertulia_event_free(event);
  }
  state.fails = 0;

  /* History: the audio of a turn, and an archive. */
  OK(tertulia_engine_audio(engine, id, 1, "user", &data, out));
  CHECK(tertulia_data_i16(data, &count) != NULL && count == 16000 && strstr(tertulia_data_json(data), "16000"));
  CHECK(tertulia_data_f32(data, &count) == NULL && count == 0);
  tertulia_data_free(data);
  FAILS(TERTULIA_ERROR_INVALID_ARGUMENT, tertulia_engine_audio(engine, id, 1, "both", &data, out));
  sprintf(path, "%s/session.zip", folder);
  OK(tertulia_engine_export_session(engine, id, path, &job, out));
  finish(job, "\"turns\":3");
  OK(tertulia_engine_import_session(engine, path, "01900000-0000-7000-8000-000000000001", &job, out));
  finish(job, "01900000-0000-7000-8000-000000000001");
  OK(tertulia_engine_verify_store(engine, &job, out));
  finish(job, "\"damaged\":[]");
  OK(tertulia_engine_compact_store(engine, &job, out));
  finish(job, "{}");
  OK(tertulia_engine_synthesize(engine, "{\"text\":\"Hola\",\"languages\":[\"es\"]}", &job, out));
  OK(tertulia_job_next(job, &data, out));
  CHECK(tertulia_data_f32(data, &count) != NULL && count == 2400);
  tertulia_data_free(data);
  CHECK(tertulia_job_cancel(job) == TERTULIA_OK && tertulia_job_free(job) == TERTULIA_OK);
  FAILS(TERTULIA_ERROR_INVALID_ARGUMENT, tertulia_engine_synthesize(engine, "{\"txt\":1}", &job, out));

  sprintf(command, "{\"type\":\"close_session\",\"session\":\"%s\"}", id);
  OK(tertulia_engine_apply(engine, command, NULL, out));
  until(session, "session_closed", &event);
  tertulia_event_free(event);
  FAILS(TERTULIA_ERROR_SESSION_CLOSED, tertulia_session_next_event(session, 10000, &event, out));

  /* Suspended, the file is another's; shut down, the handles that are left hold nothing. */
  OK(tertulia_engine_suspend(engine, 5000, &data, out));
  CHECK(strcmp(tertulia_data_json(data), "{\"workers\":[]}") == 0);
  tertulia_data_free(data);
  OK(tertulia_engine_resume(engine, out));
  CHECK(tertulia_engine_free(engine) == TERTULIA_OK);
  FAILS(TERTULIA_ERROR_INVALID_ARGUMENT, tertulia_engine_resume(engine, out));
  engine = open_engine(&state, options);
  sprintf(command, "{\"type\":\"turns\",\"session\":\"%s\",\"limit\":10}", id);
  OK(tertulia_engine_apply(engine, command, &data, out));
  CHECK(strstr(tertulia_data_json(data), "Hola, me llamo Ana.") != NULL);
  tertulia_data_free(data);
  FAILS(TERTULIA_ERROR_ENGINE_CLOSED, tertulia_session_interrupt(session, out));
  CHECK(state.released == 0 && tertulia_session_free(session) == TERTULIA_OK);
  CHECK(state.released == 3 && tertulia_engine_free(engine) == TERTULIA_OK && state.released == 6);
}

/* A reply that never comes, until it is not wanted any more. */
static struct {
  tertulia_engine *engine;
  tertulia_sink *sink;
  volatile int begun, cancelled;
} waiting;

static int32_t wait_for_cancel(void *user_data, const char *request, tertulia_sink *sink) {
  (void)user_data, (void)request;
  waiting.sink = sink;
  waiting.begun = 1;
  return TERTULIA_OK;
}

/* Every call may be made in here, the end of the sink too. */
static void cancelled(void *user_data, tertulia_sink *sink) {
  CHECK(user_data == &waiting && sink == waiting.sink && tertulia_sink_is_cancelled(sink) == 1);
  FAILS(TERTULIA_ERROR_CANCELLED, tertulia_sink_text(sink, "late", out));
  OK(tertulia_engine_apply(waiting.engine, "{\"type\":\"store_usage\"}", NULL, out));
  OK(tertulia_sink_fail(sink, TERTULIA_ERROR_CANCELLED, NULL, out));
  CHECK(tertulia_sink_free(sink) == TERTULIA_OK);
  waiting.cancelled = 1;
}

static void must_not_be_called(void *user_data, tertulia_sink *sink) {
  (void)user_data, (void)sink;
  CHECK(!"the table of an older header ends before it");
}

/* Cancellation reaches a backend that waits. One that was built with an older header has no function for it. */
static void told_of_cancellation(int older) {
  tertulia_backend chat = backend_named("c-chat", &waiting, NULL);
  tertulia_session *session = NULL;
  tertulia_event *event;
  struct timespec pause = {0, 1000000};
  char command[200], id[37];
  int turn, ms;
  chat.request = wait_for_cancel;
  chat.cancel = older ? must_not_be_called : cancelled;
  if (older) chat.struct_size = offsetof(tertulia_backend, cancel);
  OK(open_on(NO_MODELS, NULL, &chat, NULL, &waiting.engine, out));
  OK(create_session(waiting.engine, "", id, &session, out));
  sprintf(command, "{\"type\":\"send_text\",\"session\":\"%s\",\"text\":\"Hola\"}", id);
  for (turn = 1; turn <= 10; turn++) {
    waiting.begun = 0;
    waiting.cancelled = 0;
    OK(tertulia_engine_apply(waiting.engine, command, NULL, out));
    for (ms = 0; !waiting.begun; ms++) CHECK(ms < 10000 && nanosleep(&pause, NULL) == 0);
    OK(tertulia_session_interrupt(session, out));
    until(session, "turn_interrupted", &event);
    tertulia_event_free(event);
    for (ms = 0; !older && !waiting.cancelled; ms++) CHECK(ms < 10000 && nanosleep(&pause, NULL) == 0);
    if (older) CHECK(tertulia_sink_is_cancelled(waiting.sink) == 1 && tertulia_sink_free(waiting.sink) == TERTULIA_OK);
    FAILS(TERTULIA_ERROR_INVALID_ARGUMENT, tertulia_sink_done(waiting.sink, out));
    CHECK(waiting.cancelled == !older);
  }
  tertulia_session_free(session);
  CHECK(tertulia_engine_free(waiting.engine) == TERTULIA_OK);
}

int main(int count, char **arguments) {
  tertulia_engine *engine = NULL;
  CHECK(count == 2);
  CHECK(tertulia_abi_version() == TERTULIA_ABI_VERSION && strchr(tertulia_version(), '.') != NULL);
  CHECK(strcmp(tertulia_error_name(TERTULIA_ERROR_MODEL_MISSING), "ModelMissing") == 0);
  CHECK(strcmp(tertulia_error_name(0), "Ok") == 0 && strcmp(tertulia_error_name(77), "Unknown") == 0);
  FAILS(TERTULIA_ERROR_INVALID_CONFIG, tertulia_engine_open("{\"stoer\":1}", NULL, &engine, out));
  CHECK(engine == NULL);
  spoken_turn(arguments[1]);
  told_of_cancellation(0);
  told_of_cancellation(1);
  puts("a spoken turn, archives, jobs and errors: ok");
  return 0;
}
