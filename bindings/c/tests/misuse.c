/*
 * Every function with every wrong argument: a code, never a crash. Prints how many cases there were.
 */
#include "common.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static long cases;

/* The code is not that of success; 0 where `may_succeed`. */
static void is_code(const char *call, int32_t code, tertulia_error *error, int may_succeed) {
  cases++;
  if ((code == TERTULIA_OK && !may_succeed) || code < 0 || code >= 1000 || tertulia_error_code(error) != code) {
    fprintf(stderr, "%s gave %d (%d)\n", call, (int)code, (int)tertulia_error_code(error));
    exit(1);
  }
  if (tertulia_error_free(error) != TERTULIA_OK) {
    exit(2);
  }
}

#define MISUSED(call)                            \
  do {                                           \
    tertulia_error *error = NULL;                \
    tertulia_error **out = &error;               \
    int32_t code = (call);                       \
    is_code(#call, code, error, 0);              \
  } while (0)

#define WHATEVER(call)                           \
  do {                                           \
    tertulia_error *error = NULL;                \
    tertulia_error **out = &error;               \
    int32_t code = (call);                       \
    is_code(#call, code, error, 1);              \
  } while (0)

static const char *const BAD_TEXTS[] = {NULL, "\xff\xfe", "", "{", "\xc3(", "{\"type\":\"no\"}"};
static float samples[64];

/* Every function of an engine, on a handle that is no live engine. */
static void no_engine(void *handle) {
  const tertulia_engine *engine = (const tertulia_engine *)handle;
  tertulia_session *session = NULL;
  tertulia_event *event = NULL;
  tertulia_data *data = NULL;
  tertulia_job *job = NULL;
  const char *id = "01900000-0000-7000-8000-000000000001";
  MISUSED(tertulia_engine_session(engine, id, &session, out));
  MISUSED(tertulia_engine_apply(engine, "{\"type\":\"store_usage\"}", &data, out));
  MISUSED(tertulia_engine_next_event(engine, 1, &event, out));
  MISUSED(tertulia_engine_set_wakeup(engine, NULL, NULL, out));
  MISUSED(tertulia_engine_suspend(engine, 1, &data, out));
  MISUSED(tertulia_engine_resume(engine, out));
  MISUSED(tertulia_engine_shut_down(engine, 1, &data, out));
  MISUSED(tertulia_engine_audio(engine, id, 1, "user", &data, out));
  MISUSED(tertulia_engine_transcribe(engine, samples, 64, 16000, "en", &job, out));
  MISUSED(tertulia_engine_listen(engine, samples, 64, 16000, "en", &job, out));
  MISUSED(tertulia_engine_synthesize(engine, "{\"text\":\"a\",\"languages\":[\"en\"]}", &job, out));
  MISUSED(tertulia_engine_preload(engine, &job, out));
  MISUSED(tertulia_engine_export_session(engine, id, "/dev/null", &job, out));
  MISUSED(tertulia_engine_import_session(engine, "/dev/null", NULL, &job, out));
  MISUSED(tertulia_engine_verify_store(engine, &job, out));
  MISUSED(tertulia_engine_compact_store(engine, &job, out));
  MISUSED(tertulia_engine_erase(engine, NULL, &job, out));
  MISUSED(tertulia_engine_rotate_store_key(engine, NULL, &job, out));
  if (session != NULL || event != NULL || data != NULL || job != NULL) exit(3);
}

static void no_session(void *handle) {
  const tertulia_session *session = (const tertulia_session *)handle;
  tertulia_event *event = NULL;
  uint64_t turn = 0;
  MISUSED(tertulia_session_push_audio(session, samples, 64, 16000, out));
  MISUSED(tertulia_session_push_audio_i16(session, (const int16_t *)samples, 64, 16000, out));
  MISUSED(tertulia_session_push_interleaved(session, samples, 64, 2, 16000, out));
  MISUSED(tertulia_session_push_playback(session, samples, 64, 16000, out));
  MISUSED(tertulia_session_push_encoded(session, (const uint8_t *)samples, 64, &turn, out));
  MISUSED(tertulia_session_end_utterance(session, &turn, out));
  MISUSED(tertulia_session_interrupt(session, out));
  MISUSED(tertulia_session_played(session, 1, 1, out));
  MISUSED(tertulia_session_next_event(session, 1, &event, out));
  MISUSED(tertulia_session_set_wakeup(session, NULL, NULL, out));
  if (turn != 0 || event != NULL) exit(4);
}

static void no_other(void *handle) {
  tertulia_data *data = NULL;
  size_t count = 1;
  uint32_t rate = 1;
  MISUSED(tertulia_job_next((const tertulia_job *)handle, &data, out));
  MISUSED(tertulia_sink_partial((const tertulia_sink *)handle, "a", out));
  MISUSED(tertulia_sink_transcript((const tertulia_sink *)handle, "a", out));
  MISUSED(tertulia_sink_text((const tertulia_sink *)handle, "a", out));
  MISUSED(tertulia_sink_audio((const tertulia_sink *)handle, samples, 64, 16000, 0, 1, out));
  MISUSED(tertulia_sink_done((const tertulia_sink *)handle, out));
  MISUSED(tertulia_sink_fail((const tertulia_sink *)handle, 500, "a", out));
  cases += 11;
  if (tertulia_job_cancel((const tertulia_job *)handle) == TERTULIA_OK) exit(5);
  if (tertulia_job_progress((const tertulia_job *)handle) != 0.0f) exit(5);
  if (tertulia_sink_is_cancelled((const tertulia_sink *)handle) != 1) exit(5);
  if (tertulia_event_json((const tertulia_event *)handle) != NULL) exit(5);
  if (tertulia_event_turn((const tertulia_event *)handle) != 0) exit(5);
  if (tertulia_event_audio((const tertulia_event *)handle, &count, &rate) != NULL || count || rate) exit(5);
  if (tertulia_data_json((const tertulia_data *)handle) != NULL) exit(5);
  if (tertulia_data_f32((const tertulia_data *)handle, &count) != NULL || count) exit(5);
  if (tertulia_data_i16((const tertulia_data *)handle, NULL) != NULL) exit(5);
  if (tertulia_error_code((const tertulia_error *)handle) != TERTULIA_OK) exit(5);
  if (*tertulia_error_detail((const tertulia_error *)handle) != 0) exit(5);
}

/* Freeing what is not there, or no more, or of another type: a code. */
static void no_free(void *handle) {
  int32_t expected = handle == NULL ? TERTULIA_OK : TERTULIA_ERROR_INVALID_ARGUMENT;
  cases += 7;
  if (tertulia_engine_free((tertulia_engine *)handle) != expected) exit(6);
  if (tertulia_session_free((tertulia_session *)handle) != expected) exit(6);
  if (tertulia_event_free((tertulia_event *)handle) != expected) exit(6);
  if (tertulia_data_free((tertulia_data *)handle) != expected) exit(6);
  if (tertulia_job_free((tertulia_job *)handle) != expected) exit(6);
  if (tertulia_sink_free((tertulia_sink *)handle) != expected) exit(6);
  if (tertulia_error_free((tertulia_error *)handle) != expected) exit(6);
}

#ifdef TERTULIA_TESTING
static const char SCENARIO[] =
    "{\"about\":\"An utterance without speech.\",\"config\":{\"playback\":\"assumed\"},\"microphone\":[{\"silence_ms\":640}],"
    "\"calls\":[{\"at_ms\":490,\"call\":{\"type\":\"end_utterance\"}}],\"leave_out\":[],\"events\":[],\"turns\":[]}";

static void no_run(void *handle) {
  tertulia_testing_action action;
  MISUSED(tertulia_testing_next((const tertulia_testing_run *)handle, 0, NULL, &action, out));
  cases += 2;
  if (tertulia_testing_finish((const tertulia_testing_run *)handle) == NULL) exit(17);
  if (tertulia_testing_free((tertulia_testing_run *)handle) !=
      (handle == NULL ? TERTULIA_OK : TERTULIA_ERROR_INVALID_ARGUMENT))
    exit(17);
}

/* The runs of the testing build: wrong scenarios, and a run that goes another way than its host. */
static void testing_runs(void) {
  tertulia_testing_run *run = NULL;
  tertulia_testing_action action;
  size_t at;
  for (at = 0; at < COUNT(BAD_TEXTS); at++) {
    MISUSED(tertulia_testing_open(BAD_TEXTS[at], &run, out));
    MISUSED(tertulia_testing_open_golden(BAD_TEXTS[at], "/tmp/no-store", &run, out));
    MISUSED(tertulia_testing_open_golden("[]", BAD_TEXTS[at], &run, out));
  }
  MISUSED(tertulia_testing_open("{}", NULL, out));
  MISUSED(tertulia_testing_open_golden("{}", "/tmp/no-store", NULL, out));
  if (run != NULL) exit(17);
  if (tertulia_testing_open(SCENARIO, &run, NULL) != TERTULIA_OK) exit(18);
  MISUSED(tertulia_testing_next(run, 0, NULL, NULL, out));
  for (at = 1; at < COUNT(BAD_TEXTS); at++) {
    WHATEVER(tertulia_testing_next(run, TERTULIA_ERROR_CHAT_FAILED, BAD_TEXTS[at], &action, out));
  }
  no_engine(run);
  no_session(run);
  no_other(run);
  if (tertulia_testing_free(run) != TERTULIA_OK) exit(18);
  no_run(run);
}
#endif

static void nothing(void *handle) {
#ifdef TERTULIA_TESTING
  no_run(handle);
#endif
  no_engine(handle);
  no_session(handle);
  no_other(handle);
  no_free(handle);
}

static tertulia_engine *open_engine(const char *options, const tertulia_backends *backends) {
  tertulia_engine *engine = NULL;
  if (tertulia_engine_open(options, backends, &engine, NULL) != TERTULIA_OK) exit(7);
  return engine;
}

static tertulia_session *open_session(tertulia_engine *engine, char id[37]) {
  tertulia_session *session = NULL;
  if (create_session(engine, "", id, &session, NULL) != TERTULIA_OK) exit(8);
  return session;
}

/* Live handles with wrong arguments. */
static void wrong_arguments(tertulia_engine *engine, tertulia_session *session, const char *id) {
  tertulia_job *job = NULL;
  tertulia_data *data = NULL;
  tertulia_event *event = NULL;
  tertulia_session *other = NULL;
  size_t at;
  size_t huge[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4, SIZE_MAX / 8 + 1};
  for (at = 0; at < COUNT(BAD_TEXTS); at++) {
    const char *bad = BAD_TEXTS[at];
    tertulia_engine *opened = NULL;
    if (bad != NULL) MISUSED(tertulia_engine_open(bad, NULL, &opened, out));
    MISUSED(tertulia_engine_session(engine, bad, &other, out));
    MISUSED(tertulia_engine_apply(engine, bad, &data, out));
    MISUSED(tertulia_engine_audio(engine, bad, 1, "user", &data, out));
    MISUSED(tertulia_engine_audio(engine, id, 1, bad, &data, out));
    MISUSED(tertulia_engine_synthesize(engine, bad, &job, out));
    MISUSED(tertulia_engine_export_session(engine, bad, "/tmp/no", &job, out));
    MISUSED(tertulia_engine_import_session(engine, bad, NULL, &job, out));
    if (bad != NULL) {
      MISUSED(tertulia_engine_erase(engine, bad, &job, out));
      MISUSED(tertulia_engine_transcribe(engine, samples, 64, 16000, bad, &job, out));
      MISUSED(tertulia_engine_listen(engine, samples, 64, 16000, bad, &job, out));
    }
  }
  for (at = 0; at < COUNT(huge); at++) {
    MISUSED(tertulia_session_push_audio(session, samples, huge[at], 16000, out));
    MISUSED(tertulia_session_push_audio_i16(session, (const int16_t *)samples, huge[at], 16000, out));
    MISUSED(tertulia_session_push_playback(session, samples, huge[at], 16000, out));
    MISUSED(tertulia_session_push_interleaved(session, samples, huge[at], 2, 16000, out));
    MISUSED(tertulia_engine_transcribe(engine, samples, huge[at], 16000, "en", &job, out));
  }
  MISUSED(tertulia_session_push_encoded(session, (const uint8_t *)samples, SIZE_MAX, NULL, out));
  MISUSED(tertulia_session_push_audio(session, NULL, 64, 16000, out));
  MISUSED(tertulia_session_push_audio(session, (const float *)((const char *)samples + 1), 8, 16000, out));
  MISUSED(tertulia_session_push_audio(session, samples, 64, 0, out));
  MISUSED(tertulia_session_push_audio(session, samples, 64, UINT32_MAX, out));
  MISUSED(tertulia_session_push_interleaved(session, samples, 63, 2, 16000, out));
  MISUSED(tertulia_session_push_interleaved(session, samples, 64, 0, 16000, out));
  MISUSED(tertulia_session_push_encoded(session, NULL, 10, NULL, out));
  MISUSED(tertulia_session_end_utterance(session, NULL, out));
  WHATEVER(tertulia_session_played(session, UINT64_MAX, UINT64_MAX, out));
  MISUSED(tertulia_session_next_event(session, 1, NULL, out));
  MISUSED(tertulia_engine_next_event(engine, 1, NULL, out));
  MISUSED(tertulia_engine_verify_store(engine, NULL, out));
  MISUSED(tertulia_engine_session(engine, id, NULL, out));
  MISUSED(tertulia_engine_open(NO_MODELS, NULL, NULL, out));
  MISUSED(tertulia_set_log(NULL, NULL, 3, out));
  /* Errors that are not wanted. */
  if (tertulia_engine_apply(engine, "{", NULL, NULL) == TERTULIA_OK) exit(9);
  WHATEVER(tertulia_session_next_event(session, 0, &event, out));
  tertulia_event_free(event);
  if (job != NULL || data != NULL || other != NULL) exit(9);
}

/* Model files, with the library's models or without. */
static void model_files(void) {
  size_t at;
  for (at = 0; at < COUNT(BAD_TEXTS); at++) {
    tertulia_data *data = NULL;
    tertulia_job *job = NULL;
    const char *bad = BAD_TEXTS[at] == NULL ? "\xff" : BAD_TEXTS[at];
    MISUSED(tertulia_models_plan("/tmp/no-models", bad, &data, out));
    MISUSED(tertulia_models_install("/tmp/no-models", bad, "/dev/null", out));
    MISUSED(tertulia_models_remove("/tmp/no-models", bad, out));
    MISUSED(tertulia_models_verify("/tmp/no-models", bad, out));
    MISUSED(tertulia_models_list("/tmp/no-models", NULL, out));
    MISUSED(tertulia_models_pull("\xff", NULL, &job, out));
    if (data != NULL || job != NULL) exit(15);
  }
}

static int32_t unused(void *user_data, const char *request, tertulia_sink *sink) {
  (void)user_data, (void)request, (void)sink;
  return TERTULIA_ERROR_CHAT_FAILED;
}

static void *open_vad(void *user_data) { return user_data; }
static float process(void *detector, const float *frame, size_t count) { return detector && frame && count ? 0.5f : 0.0f; }
static void close_vad(void *detector) { (void)detector; }

/* Opens engines with a table of the host's that has each size up to `most`: from `whole` on it works, below a function is cut off. */
static void of_every_size(const tertulia_backends *table, size_t *size, size_t whole, size_t most) {
  for (*size = sizeof(size_t); *size <= most; *size += sizeof(void *)) {
    tertulia_engine *engine = NULL;
    int is_whole = *size >= whole;
    if (is_whole) WHATEVER(tertulia_engine_open(NO_MODELS, table, &engine, out));
    else MISUSED(tertulia_engine_open(NO_MODELS, table, &engine, out));
    if ((engine != NULL) != is_whole || tertulia_engine_free(engine) != TERTULIA_OK) exit(16);
  }
}

/* A backend and a detector of each size that a header can have had. */
static void other_tables(void) {
  struct {
    tertulia_backend now;
    void *later[8];
  } backend;
  struct {
    tertulia_vad now;
    void *later[8];
  } vad;
  tertulia_backends table;
  memset(&table, 0, sizeof table);
  table.struct_size = sizeof table;
  /* What lies behind the end is none of the library's business. */
  memset(&backend, 0x5a, sizeof backend);
  backend.now = backend_named("c", NULL, NULL);
  backend.now.request = unused;
  memset(&vad, 0x5a, sizeof vad);
  memset(&vad.now, 0, sizeof vad.now);
  vad.now.user_data = &vad;
  vad.now.name = "c";
  vad.now.frame_len = 512;
  vad.now.open = open_vad;
  vad.now.process = process;
  vad.now.close = close_vad;
  table.chat = &backend.now;
  of_every_size(&table, &backend.now.struct_size, offsetof(tertulia_backend, release), sizeof backend);
  table.chat = NULL;
  table.vad = &vad.now;
  of_every_size(&table, &vad.now.struct_size, offsetof(tertulia_vad, release), sizeof vad);
}

/* Structs of another time, and tables without functions. */
static void wrong_structs(void) {
  tertulia_backends table;
  tertulia_backend backend;
  tertulia_vad vad;
  tertulia_engine *engine = NULL;
  struct {
    tertulia_backends now;
    void *later[8];
  } newer;
  size_t sizes[] = {0, 1, sizeof(size_t) - 1}, at;
  memset(&table, 0, sizeof table);
  memset(&backend, 0, sizeof backend);
  memset(&vad, 0, sizeof vad);
  for (at = 0; at < COUNT(sizes); at++) {
    table.struct_size = sizes[at];
    MISUSED(tertulia_engine_open(NO_MODELS, &table, &engine, out));
  }
  table.struct_size = sizeof table;
  table.chat = &backend;
  MISUSED(tertulia_engine_open(NO_MODELS, &table, &engine, out));
  backend.struct_size = sizeof backend;
  MISUSED(tertulia_engine_open(NO_MODELS, &table, &engine, out));
  backend.languages = "en, no language at all";
  MISUSED(tertulia_engine_open(NO_MODELS, &table, &engine, out));
  backend.languages = "en";
  MISUSED(tertulia_engine_open(NO_MODELS, &table, &engine, out));
  table.chat = NULL;
  table.vad = &vad;
  vad.struct_size = sizeof vad;
  MISUSED(tertulia_engine_open(NO_MODELS, &table, &engine, out));
  if (engine != NULL) exit(10);
  /* An older header's struct is shorter, a newer one's longer. */
  table.struct_size = sizeof(size_t);
  engine = open_engine(NO_MODELS, &table);
  tertulia_engine_free(engine);
  memset(&newer, 0, sizeof newer);
  newer.now.struct_size = sizeof newer;
  newer.later[3] = &newer;
  engine = open_engine(NO_MODELS, &newer.now);
  tertulia_engine_free(engine);
  cases += 2;
  other_tables();
}

/* From within a backend the engine's ends are refused; on other threads handles work as well. */
static tertulia_engine *inside;
static int32_t refused[4];

static int32_t reply(void *user_data, const char *request, tertulia_sink *sink) {
  (void)user_data;
  (void)request;
  refused[0] = tertulia_engine_suspend(inside, 1000, NULL, NULL);
  refused[1] = tertulia_engine_shut_down(inside, 1000, NULL, NULL);
  refused[2] = tertulia_engine_free(inside);
  refused[3] = tertulia_engine_apply(inside, "{\"type\":\"store_usage\"}", NULL, NULL);
  tertulia_sink_text(sink, "Hola.", NULL);
  tertulia_sink_done(sink, NULL);
  return tertulia_sink_free(sink);
}

static void re_entrant(void) {
  tertulia_backend chat = backend_named("c", NULL, NULL);
  tertulia_session *session;
  tertulia_event *event = NULL;
  char id[37], command[200];
  chat.request = reply;
  if (open_on(NO_MODELS, NULL, &chat, NULL, &inside, NULL) != TERTULIA_OK) exit(11);
  session = open_session(inside, id);
  sprintf(command, "{\"type\":\"send_text\",\"session\":\"%s\",\"text\":\"Hola\"}", id);
  if (tertulia_engine_apply(inside, command, NULL, NULL) != TERTULIA_OK) exit(11);
  do {
    tertulia_event_free(event);
    if (tertulia_session_next_event(session, 10000, &event, NULL) != TERTULIA_OK || event == NULL) exit(11);
  } while (strstr(tertulia_event_json(event), "reply_text_done") == NULL);
  tertulia_event_free(event);
  cases += 4;
  if (refused[0] != TERTULIA_ERROR_CALLED_FROM_CALLBACK || refused[1] != refused[0] || refused[2] != refused[0] ||
      refused[3] != TERTULIA_OK)
    exit(11);
  tertulia_session_free(session);
  if (tertulia_engine_free(inside) != TERTULIA_OK) exit(11);
}

static void *on_a_thread(void *handle) {
  nothing(handle);
  return NULL;
}

int main(void) {
  char id[37];
  pthread_t thread;
  tertulia_engine *engine = open_engine(NO_MODELS, NULL);
  tertulia_session *session = open_session(engine, id);
  tertulia_job *job = NULL;
  tertulia_error *error = NULL;
  tertulia_event *event = NULL;
  nothing(NULL);
  nothing((void *)&cases);      /* a pointer, but no handle */
  nothing((void *)(uintptr_t)1); /* the place of a handle */
  nothing((void *)UINTPTR_MAX);
  wrong_arguments(engine, session, id);
  wrong_structs();
  model_files();
#ifdef TERTULIA_TESTING
  testing_runs();
  no_run(engine);
#endif
  re_entrant();
  /* Of another type. */
  no_session(engine);
  no_other(engine);
  no_engine(session);
  no_other(session);
  if (tertulia_session_free((tertulia_session *)engine) == TERTULIA_OK) exit(12);
  if (tertulia_engine_free((tertulia_engine *)session) == TERTULIA_OK) exit(12);
  /* Freed, here and on another thread, twice. */
  if (tertulia_engine_verify_store(engine, &job, NULL) != TERTULIA_OK) exit(12);
  tertulia_engine_apply(engine, "{", NULL, &error);
  tertulia_session_next_event(session, 1000, &event, NULL);
  tertulia_job_free(job);
  tertulia_error_free(error);
  tertulia_event_free(event);
  nothing(job);
  nothing(error);
  nothing(event);
  /* After the end of the engine. */
  if (tertulia_engine_shut_down(engine, 5000, NULL, NULL) != TERTULIA_OK) exit(13);
  if (tertulia_session_interrupt(session, NULL) == TERTULIA_OK) exit(13);
  MISUSED(tertulia_engine_apply(engine, "{\"type\":\"store_usage\"}", NULL, out));
  MISUSED(tertulia_engine_listen(engine, samples, 64, 16000, "en", &job, out));
  if (tertulia_engine_shut_down(engine, 5000, NULL, NULL) != TERTULIA_OK) exit(13);
  tertulia_session_free(session);
  nothing(session);
  if (tertulia_engine_free(engine) != TERTULIA_OK) exit(13);
  nothing(engine);
  if (pthread_create(&thread, NULL, on_a_thread, engine) != 0 || pthread_join(thread, NULL) != 0) exit(14);
  printf("%ld misuses: each a code\n", cases);
  return 0;
}
